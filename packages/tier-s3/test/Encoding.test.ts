import { assert, describe, it } from "@effect/vitest"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import * as Metadata from "../src/internal/Metadata.ts"
import * as ObjectKey from "../src/internal/ObjectKey.ts"

describe("keys of objects", () => {
  it("are read back, and each is a path that URLs leave as it is", () => {
    for (const name of ["master", ".", "..", "...", ".a", "~", "a~b", "-._~", "0123456789abcdef~fedcba9876543210"]) {
      const key = Key.makeUnsafe("Cat_1.x-y", name)
      const path = ObjectKey.path(key)

      assert.deepStrictEqual(ObjectKey.parse(path), key)
      assert.strictEqual(new URL(`http://host/${path}`).pathname, `/${path}`)
    }
  })

  it("of others are none of ours", () => {
    for (const path of [
      "",
      "g",
      "g/",
      "/g",
      "g/.",
      "g/..",
      "g/!a",
      "g/!...",
      "g/A",
      "g/a/b",
      ".g/a",
      "g h/a",
      "!g/a"
    ]) {
      assert.isUndefined(ObjectKey.parse(path), path)
    }
  })
})

describe("metadata", () => {
  it.effect("holds nothing that signatures fold or servers decode, and is read back", () =>
    Effect.gen(function* () {
      const attributes = { a: "one  two   three ", b: "=?UTF-8?B?w4Q=?= ==??", c: "Ä 🌋 \\u0020 \u0000\u007f" }
      const { header } = Fixtures.blob({ attributes })

      const metadata = Metadata.encode(yield* Header.encode(header))

      const value = metadata?.["terrace"] ?? ""
      assert.match(value, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/)
      assert.notInclude(value, "  ")
      assert.notInclude(value, "=?")
      assert.deepStrictEqual(Metadata.decode(header.key, metadata), header)
    })
  )

  it.effect("fits into 2 KB together with its name", () =>
    Effect.gen(function* () {
      const sizes = new Set<number>()
      for (let spaces = 300; spaces < 400; spaces++) {
        const { header } = Fixtures.blob({ attributes: { spaces: " ".repeat(spaces) } })
        const metadata = Metadata.encode(yield* Header.encode(header))
        const bytes = Object.entries(metadata ?? {}).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
        assert.isAtMost(bytes, 2_048)
        sizes.add(bytes)
      }
      assert.isTrue(sizes.has(0), "one of them does not fit")
      assert.isAbove(Math.max(...sizes), 2_036)
    })
  )
})

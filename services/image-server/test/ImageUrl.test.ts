import { assert, describe, it } from "@effect/vitest"
import * as Key from "@terrace/core/Key"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as ImageUrl from "../src/ImageUrl.ts"

const idOf = (target: string) => Result.map(ImageUrl.parseImage(target), (request) => request.id)

const messageOf = (result: Result.Result<unknown, Error>): string =>
  Result.isFailure(result) ? result.failure.message : "succeeded"

describe("ImageUrl.parseImage", () => {
  it("reads a plain id", () => {
    assert.deepStrictEqual(Result.getOrThrow(ImageUrl.parseImage("/images/hero_recycle-01.v2")), {
      id: "hero_recycle-01.v2",
      preset: undefined,
      version: undefined
    })
  })

  it("reads preset and version in any order", () => {
    const expected = { id: "hero", preset: "thumb", version: "9f86d081884c7d65" }
    assert.deepStrictEqual(
      Result.getOrThrow(ImageUrl.parseImage("/images/hero?preset=thumb&v=9f86d081884c7d65")),
      expected
    )
    assert.deepStrictEqual(
      Result.getOrThrow(ImageUrl.parseImage("/images/hero?v=9f86d081884c7d65&preset=thumb")),
      expected
    )
  })

  it("decodes an id once", () => {
    assert.strictEqual(Result.getOrThrow(idOf("/images/hero%5Frecycle")), "hero_recycle")
    assert.strictEqual(Result.getOrThrow(idOf("/images/%68ero")), "hero")
    assert.include(messageOf(idOf("/images/hero%255Frecycle")), `contains "%"`)
  })

  it("takes an id of 200 characters and no longer one, whatever the spelling", () => {
    assert.strictEqual(Result.getOrThrow(idOf(`/images/${"a".repeat(200)}`)), "a".repeat(200))
    assert.strictEqual(Result.getOrThrow(idOf(`/images/${"%61".repeat(200)}`)), "a".repeat(200))
    assert.include(messageOf(idOf(`/images/${"a".repeat(201)}`)), "is 201 characters long")
    assert.include(messageOf(idOf(`/images/${"%61".repeat(201)}`)), "characters long")
    assert.include(messageOf(idOf(`/images/${"a".repeat(10_000)}`)), "is 10000 characters long")
  })

  const refused: ReadonlyArray<readonly [target: string, problem: string]> = [
    ["/images/..%2f..%2fetc%2fpasswd", `contains "/"`],
    ["/images/..%2F..%2Fetc%2Fpasswd", `contains "/"`],
    ["/images/../etc/passwd", `contains "/"`],
    ["/images/%2e%2e", `begins with "."`],
    ["/images/..", `begins with "."`],
    ["/images/.hidden", `begins with "."`],
    ["/images/-rf", `begins with "-"`],
    ["/images/%00", `contains "\\u0000"`],
    ["/images/hero%00.png", `contains "\\u0000"`],
    ["/images/hero%2fmetadata", `contains "/"`],
    ["/images/hero/", `contains "/"`],
    ["/images//hero", `contains "/"`],
    ["/images/hero\\..\\x", `contains "\\\\"`],
    ["/images/hero%5c..", `contains "\\\\"`],
    ["/images/caf%C3%A9", `contains "é"`],
    ["/images/%F0%9F%92%A9", `contains "💩"`],
    ["/images/café", `contains "é"`],
    ["/images/a%0d%0ab", `contains "\\r"`],
    ["/images/a+b", `contains "+"`],
    ["/images/a b", `contains " "`],
    ["/images/a~b", `contains "~"`],
    ["/images/a;b", `contains ";"`],
    ["/images/hero#top", `contains "#"`],
    ["/images/", "is empty"],
    ["/images/?preset=thumb", "is empty"],
    ["/images/%", "malformed percent-encoding"],
    ["/images/%4", "malformed percent-encoding"],
    ["/images/%zz", "malformed percent-encoding"],
    ["/images/%ff", "malformed percent-encoding"],
    ["/images/%c0%af", "malformed percent-encoding"],
    ["/images/%ed%a0%80", "malformed percent-encoding"],
    ["/images", "is not in the place of <id>"],
    ["/other/hero", "is not in the place of <id>"],
    ["", "is not in the place of <id>"]
  ]
  for (const [target, problem] of refused) {
    it(`refuses ${JSON.stringify(target)}, saying that it ${problem}`, () => {
      const result = ImageUrl.parseImage(target)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidId")
      assert.include(messageOf(result), problem)
      assert.include(messageOf(result), `for example "hero_recycle-01"`)
    })
  }

  const misunderstood: ReadonlyArray<readonly [query: string, problem: string]> = [
    ["width=300", `query parameter "width" is not known here: expected only "preset", "v"`],
    ["Preset=thumb", `"Preset" is not known here`],
    ["preset=thumb&preset=thumb", `"preset" is given twice`],
    ["preset=thumb&%70reset=big", `"preset" is given twice`],
    ["preset=", `"preset" has no value`],
    ["preset", `"preset" has no value`],
    ["v=", `"v" has no value`],
    ["v=9F86D081884C7D65", `"v" is "9F86D081884C7D65": expected 16 lower-case hex digits`],
    ["v=9f86d081884c7d6", `"v" is "9f86d081884c7d6"`],
    ["v=9f86d081884c7d655", `"v" is "9f86d081884c7d655"`],
    ["v=9f86d081884c7d6%0a", `"v" is "9f86d081884c7d6\\n"`],
    ["preset=../../x", `"preset" is "../../x"`],
    ["preset=a+b", `"preset" is "a b"`],
    ["preset=%zz", `"preset" is "%zz", malformed percent-encoding`],
    ["%zz=1", `"%zz" is not known here`],
    ["preset=thumb&", `"" is not known here`],
    ["&preset=thumb", `"" is not known here`],
    ["=thumb", `"" is not known here`],
    ["__proto__=1", `"__proto__" is not known here`],
    ["preset=thumb?v=1", `"preset" is "thumb?v=1"`],
    [`preset=${"a".repeat(500)}`, `"preset" is "${"a".repeat(60)}…"`]
  ]
  for (const [query, problem] of misunderstood) {
    it(`refuses ?${query.slice(0, 40)}`, () => {
      const result = ImageUrl.parseImage(`/images/hero?${query}`)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidQuery")
      assert.include(messageOf(result), problem)
    })
  }

  it("takes a lone question mark for no query", () => {
    assert.strictEqual(Result.getOrThrow(idOf("/images/hero?")), "hero")
  })

  it("reports the id before the query", () => {
    const result = ImageUrl.parseImage("/images/..?nonsense=1")
    assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidId")
  })

  it.prop(
    "never throws, and never gives an id outside of the grammar",
    [Schema.String, Schema.String],
    ([path, query]) => {
      const result = ImageUrl.parseImage(`/images/${path}?${query}`)
      return Result.isFailure(result) || Key.isGroup(result.success.id)
    }
  )

  it.prop(
    "gives back any id of the grammar that was percent-encoded",
    [Schema.String.check(Schema.isPattern(Key.groupPattern))],
    ([id]) => {
      const encoded = Array.from(id, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")
      assert.strictEqual(Result.getOrThrow(idOf(`/images/${encoded}`)), id)
      assert.strictEqual(Result.getOrThrow(idOf(`/images/${id}`)), id)
    }
  )
})

describe("ImageUrl.parseExplain", () => {
  it("reads an id and a preset, decoded once", () => {
    assert.deepStrictEqual(Result.getOrThrow(ImageUrl.parseExplain("/explain/images/%68ero?preset=thumb")), {
      id: "hero",
      preset: "thumb"
    })
    assert.deepStrictEqual(Result.getOrThrow(ImageUrl.parseExplain("/explain/images/metadata")), {
      id: "metadata",
      preset: undefined
    })
  })

  const refused: ReadonlyArray<readonly [target: string, problem: string]> = [
    ["/explain/images/..%2f..%2fetc%2fpasswd", `contains "/"`],
    ["/explain/images/%2e%2e", `begins with "."`],
    ["/explain/images/hero/metadata", `contains "/"`],
    ["/explain/images/%00", `contains "\\u0000"`],
    ["/explain/images/", "is empty"],
    ["/explain/images/?preset=thumb", "is empty"],
    ["/explain/images/%zz", "malformed percent-encoding"],
    ["/explain/images", "is not in the place of <id> in /explain/images/<id>"],
    ["/images/hero", "is not in the place of <id> in /explain/images/<id>"]
  ]
  for (const [target, problem] of refused) {
    it(`refuses ${JSON.stringify(target)}, saying that it ${problem}`, () => {
      const result = ImageUrl.parseExplain(target)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "InvalidId")
      assert.include(messageOf(result), problem)
    })
  }

  it("takes no other parameter than a preset", () => {
    assert.include(
      messageOf(ImageUrl.parseExplain("/explain/images/hero?v=9f86d081884c7d65")),
      `query parameter "v" is not known here: expected only "preset"`
    )
    assert.include(messageOf(ImageUrl.parseExplain("/explain/images/hero?preset=A")), `"preset" is "A"`)
  })
})

describe("ImageUrl.parsePresign", () => {
  it("reads the id, and preset, method and expires in any order", () => {
    assert.deepStrictEqual(Result.getOrThrow(ImageUrl.parsePresign("/images/hero/presigned")), {
      id: "hero",
      preset: undefined,
      method: "GET",
      expires: undefined
    })
    assert.deepStrictEqual(
      Result.getOrThrow(ImageUrl.parsePresign("/images/h%65ro/presigned?expires=604800&method=HEAD&preset=thumb")),
      { id: "hero", preset: "thumb", method: "HEAD", expires: 604_800 }
    )
  })

  const refused: ReadonlyArray<readonly [target: string, problem: string]> = [
    ["/images//presigned", "is empty"],
    ["/images/a%2Fb/presigned", `contains "/"`],
    ["/images/hero/presigned?method=get", `"method" is "get": expected GET or HEAD`],
    ["/images/hero/presigned?method=PUT", `"method" is "PUT": expected GET or HEAD`],
    ["/images/hero/presigned?expires=0", "expected whole seconds from 1 to 604800"],
    ["/images/hero/presigned?expires=604801", "expected whole seconds from 1 to 604800"],
    ["/images/hero/presigned?expires=1e3", "expected whole seconds from 1 to 604800"],
    ["/images/hero/presigned?expires=+5", "expected whole seconds from 1 to 604800"],
    ["/images/hero/presigned?expires=5&expires=6", "is given twice"],
    ["/images/hero/presigned?v=0123456789abcdef", "is not known here"]
  ]
  for (const [target, problem] of refused) {
    it(`refuses ${target}`, () => assert.include(messageOf(ImageUrl.parsePresign(target)), problem))
  }
})

describe("ImageUrl.presetOf", () => {
  it("answers the preset, or names those that there are", () => {
    const presets = new Map([["thumb", 1]])
    assert.strictEqual(Result.getOrThrow(ImageUrl.presetOf(presets, "thumb")), 1)
    assert.include(messageOf(ImageUrl.presetOf(presets, "huge")), `is "huge": expected one of "thumb"`)
  })
})

describe("ImageUrl.parseId", () => {
  it("reads the id before a suffix", () => {
    assert.strictEqual(Result.getOrThrow(ImageUrl.parseId("/images/hero/metadata", "/metadata")), "hero")
    assert.strictEqual(Result.getOrThrow(ImageUrl.parseId("/images/hero")), "hero")
    assert.strictEqual(Result.getOrThrow(ImageUrl.parseId("/images/metadata/metadata", "/metadata")), "metadata")
  })

  it("refuses what is not there", () => {
    assert.include(messageOf(ImageUrl.parseId("/images/metadata", "/metadata")), "is not in the place")
    assert.include(messageOf(ImageUrl.parseId("/images//metadata", "/metadata")), "is empty")
    assert.include(messageOf(ImageUrl.parseId("/images/hero/x/metadata", "/metadata")), `contains "/"`)
    assert.include(messageOf(ImageUrl.parseId("/images/%2e%2e/metadata", "/metadata")), `begins with "."`)
  })

  it("takes no parameters", () => {
    assert.include(
      messageOf(ImageUrl.parseId("/images/hero?preset=thumb")),
      `query parameter "preset" is not known here: expected no query parameters`
    )
  })
})

describe("ImageUrl.parseList", () => {
  it("has defaults", () => {
    assert.deepStrictEqual(Result.getOrThrow(ImageUrl.parseList("/images")), {
      prefix: undefined,
      after: undefined,
      limit: 100
    })
  })

  it("reads prefix, cursor and limit", () => {
    assert.deepStrictEqual(Result.getOrThrow(ImageUrl.parseList("/images?prefix=hero_&after=a%2Fb%3D%3D&limit=1000")), {
      prefix: "hero_",
      after: "a/b==",
      limit: 1000
    })
  })

  it("refuses limits that are no whole number from 1 to 1000", () => {
    for (const limit of ["0", "1001", "-1", "1.5", "1e2", "010", "ten", "9".repeat(400), "%31%30%30%30%30"]) {
      assert.include(messageOf(ImageUrl.parseList(`/images?limit=${limit}`)), "a whole number from 1 to 1000")
    }
  })

  it("refuses a prefix that no id can have, and a cursor of 513 characters", () => {
    assert.include(messageOf(ImageUrl.parseList("/images?prefix=..%2f")), `"prefix" is "../"`)
    assert.isTrue(Result.isSuccess(ImageUrl.parseList(`/images?after=${"a".repeat(512)}`)))
    assert.include(messageOf(ImageUrl.parseList(`/images?after=${"a".repeat(513)}`)), "at most 512 characters")
  })

  it.prop("never throws", [Schema.String], ([query]) => {
    const result = ImageUrl.parseList(`/images?${query}`)
    return Result.isFailure(result) || result.success.limit >= 1
  })
})

describe("ImageUrl.parseBare", () => {
  it("takes a target without parameters only", () => {
    assert.isTrue(Result.isSuccess(ImageUrl.parseBare("/images")))
    assert.isTrue(Result.isFailure(ImageUrl.parseBare("/images?id=hero")))
  })
})

describe("ImageUrl.unknownPreset", () => {
  it("names the presets that there are", () => {
    assert.strictEqual(
      ImageUrl.unknownPreset("huge", ["thumb", "card"]).message,
      `query parameter "preset" is "huge": expected one of "thumb", "card"`
    )
  })
})

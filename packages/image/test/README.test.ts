import { assert, describe, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { thumbnail } from "../examples/thumbnail.ts"
import * as ImageError from "../src/ImageError.ts"
import * as Images from "../src/Images.ts"
import * as Limits from "../src/Limits.ts"
import { flat, svg } from "./fixtures.ts"

const read = (path: string) => readFileSync(`${import.meta.dirname}/../${path}`, "utf8")
const readme = read("README.md")
/** Lines of the tables without their alignment. */
const rows = readme.replaceAll(/ +/g, " ").split("\n")

layer(Images.layer())("README", (it) => {
  describe("the example", () => {
    it("is the one in examples/", () => {
      assert.include(readme, "```ts\n" + read("examples/thumbnail.ts") + "```\n")
    })

    it.effect("makes a master and a thumbnail", () =>
      Effect.gen(function* () {
        const upload = yield* Effect.promise(() => flat(1_024, 512).png().toBuffer())
        const result = yield* thumbnail(upload)
        assert.isTrue("thumb" in result)
        if ("thumb" in result) {
          assert.deepInclude(result.master, { width: 1_024, height: 512 })
          assert.deepInclude(result.thumb, { width: 256, height: 128, contentType: "image/webp" })
        }
      })
    )

    it.effect("answers a refusal by name", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* thumbnail(Buffer.from(svg)), { refused: "svg is not accepted" })
      })
    )
  })

  it("the limits table names every limit with its default", () => {
    for (const [name, value] of Object.entries(Limits.defaults)) {
      const row = rows.find((line) => line.includes(`\`limits.${name}\` |`))
      assert.include(row, value.toLocaleString("en"), name)
    }
  })

  it("the error table names every reason and whether it is retryable", () => {
    const size = { side: "input", exceeded: "pixels", width: 1, height: 1, frames: 1, limit: 1 } as const
    const reasons = {
      UnsupportedType: new ImageError.UnsupportedType({ detected: "svg", allowed: [] }),
      Undecodable: new ImageError.Undecodable({ detail: "" }),
      TooManyPixels: new ImageError.TooManyPixels(size),
      InvalidPreset: new ImageError.InvalidPreset({ detail: "" }),
      TimedOut: new ImageError.TimedOut({ millis: 1 }),
      Busy: new ImageError.Busy({ queued: 1 })
    } satisfies Record<ImageError.Reason["_tag"], ImageError.Reason>
    for (const [tag, reason] of Object.entries(reasons)) {
      const row = rows.find((line) => line.startsWith(`| \`${tag}\` |`))
      assert.isTrue(row?.endsWith(reason.isRetryable ? "| yes |" : "| no |"), tag)
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as LegacyError from "@terrace/legacy-base64/LegacyError"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { main } from "../examples/readme.ts"
import { Admin, call, serverLayer } from "./support/Redis.ts"
import { facts } from "./support/written.ts"

const text = (path: string) => Effect.promise(() => readFile(new URL(path, import.meta.url), "utf8"))

describe("README", () => {
  it.layer(serverLayer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("shows the example that runs, what it answers, and what becomes of a record", () =>
      Effect.gen(function* () {
        const readme = yield* text("../README.md")
        const { url } = yield* RedisServer.RedisServer
        const admin = yield* Admin
        const [before = "", after] = [...readme.matchAll(/^```text\n(.*)\n```$/gm)].map(([, json]) => json)
        yield* call(admin, "SET", "image:hero", before.replace("…", "="), "EX", 7_200)

        const answer = yield* main(url, "hero", () => Effect.succeed(facts))

        assert.include(readme, yield* text("../examples/readme.ts"))
        assert.include(readme, `\`main\` answers \`${answer}\``)
        assert.strictEqual(yield* Effect.promise(() => admin.get("image:hero")), after)
      })
    )
  })

  it.effect("names every reason, and every problem of base64", () =>
    Effect.gen(function* () {
      const readme = yield* text("../README.md")
      const reasons = Object.keys(LegacyError).filter((name) => name !== "LegacyError" && name !== "of")
      for (const reason of reasons) assert.include(readme, `| \`${reason}\``)
      for (const problem of LegacyError.InvalidBase64.fields.problem.literals) assert.include(readme, `\`${problem}\``)
    })
  )
})

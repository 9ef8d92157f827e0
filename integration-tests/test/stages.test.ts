import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { symlink, writeFile } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { temporaryDirectory } from "./support/TestServer.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** Runs `npm test` of this repository in a package with these scripts and this test. */
const run = (scripts: Readonly<Record<string, string>>, test = "") =>
  Effect.gen(function* () {
    const cwd = yield* temporaryDirectory
    yield* Effect.promise(async () => {
      const reporter = JSON.stringify(join(root, "scripts/summary-reporter.ts"))
      await symlink(join(root, "node_modules"), join(cwd, "node_modules"))
      await writeFile(join(cwd, "package.json"), JSON.stringify({ type: "module", scripts }))
      await writeFile(join(cwd, "some.test.ts"), `import { expect, it } from "vitest"\n${test}`)
      await writeFile(
        join(cwd, "vitest.config.ts"),
        `export default { test: { name: "some", include: ["*.test.ts"], reporters: [${reporter}] } }`
      )
    })
    return yield* Effect.callback<{ readonly code: number; readonly lines: ReadonlyArray<string> }>((resume) => {
      // The set-up of the run that this test is part of is none of the run that it starts.
      const env = {
        ...process.env,
        TERRACE_CONTAINERS_MILLIS: undefined,
        PATH: [join(root, "node_modules/.bin"), process.env["PATH"]].join(delimiter)
      }
      execFile(process.execPath, [join(root, "scripts/test.ts")], { cwd, env }, (error, output) => {
        const code = typeof error?.code === "number" ? error.code : 0
        resume(Effect.succeed({ code, lines: output.trimEnd().split("\n") }))
      })
    })
  })

/** The names in the table of times. */
const stagesOf = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.flatMap((line) => /^( *\S.*?) +\d+\.\d s$/.exec(line)?.[1] ?? [])

describe("npm test", () => {
  it.live("tells the time of each stage before its last line, which counts the tests", () =>
    Effect.gen(function* () {
      const { code, lines } = yield* run(
        { build: "true", lint: "true", typecheck: "true" },
        `it("passes", () => {}); it("passes too", () => {})`
      )

      assert.strictEqual(code, 0)
      assert.deepStrictEqual(stagesOf(lines), [
        "build",
        "lint",
        "typecheck",
        "container set-up",
        "tests",
        "  some",
        "total"
      ])
      assert.strictEqual(lines.at(-1), "2 passed, 0 failed, 0 skipped")
    })
  )

  it.live("fails with the tests, and says so in its last line", () =>
    Effect.gen(function* () {
      const { code, lines } = yield* run(
        { build: "true", lint: "true", typecheck: "true" },
        `it("passes", () => {}); it("fails", () => expect(1).toBe(2))`
      )

      assert.strictEqual(code, 1)
      assert.strictEqual(lines.at(-1), "1 passed, 1 failed, 0 skipped")
    })
  )

  it.live("counts what fails outside of tests, in a hook or in a file that cannot be read", () =>
    Effect.gen(function* () {
      const scripts = { build: "true", lint: "true", typecheck: "true" }
      const hook = yield* run(
        scripts,
        `import { beforeAll, describe } from "vitest"
        describe("block", () => { beforeAll(() => { throw new Error("no") }); it("waits", () => {}) })`
      )
      const file = yield* run(scripts, `throw new Error("no")`)

      assert.deepStrictEqual([hook.code, hook.lines.at(-1)], [1, "0 passed, 1 failed, 1 skipped"])
      assert.deepStrictEqual([file.code, file.lines.at(-1)], [1, "0 passed, 1 failed, 0 skipped"])
    })
  )

  it.live("ends with the exit code of the first stage that fails", () =>
    Effect.gen(function* () {
      const { code, lines } = yield* run({ build: "true", lint: "exit 3", typecheck: "true" })

      assert.strictEqual(code, 3)
      assert.deepStrictEqual(stagesOf(lines), ["build", "lint", "total"])
      assert.strictEqual(lines.at(-1), "lint failed with exit code 3")
    })
  )
})

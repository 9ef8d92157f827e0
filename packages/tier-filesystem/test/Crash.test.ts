import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Child from "./support/Child.ts"
import { crashBlob, groups } from "./support/crash-blobs.ts"
import { directory, temporaryFiles, tier as tierIn } from "./support/Directory.ts"

const kills = 15

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
const random = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 4_294_967_296
  }
}

describe("kill -9", () => {
  it.live(
    "every acknowledged blob is whole after it, and none is torn",
    () =>
      Effect.gen(function* () {
        const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 1_000_000))
        const next = random(seed)
        yield* Effect.logInfo(`CRASH_SEED=${seed}`)
        const root = yield* directory
        const acknowledged = new Map<string, number>()
        let interruptedWrites = 0
        for (let kill = 0; kill < kills; kill++) {
          const first = Math.max(0, ...acknowledged.values()) + 1_000
          yield* Effect.scoped(
            Effect.gen(function* () {
              const child = yield* Child.start("crash-writer.ts", root, `${first}`)
              yield* child.printed(1 + Math.floor(next() * 40))
              const until = performance.now() + next() * 20
              while (performance.now() < until) yield* Effect.promise(() => new Promise((go) => setImmediate(go)))
              yield* child.kill
              for (const line of child.lines.slice(1)) {
                const [group = "", generation] = line.split(" ")
                acknowledged.set(group, Number(generation))
              }
            })
          )
          yield* Effect.scoped(
            Effect.gen(function* () {
              const tier = yield* tierIn({ root, role: "store" })
              for (const group of groups) {
                const read = yield* tier.get(crashBlob(group, 1).header.key)
                const expected = acknowledged.get(group)
                if (read._tag !== "Hit") {
                  assert.isUndefined(expected, `seed ${seed}, kill ${kill}: ${group} is lost`)
                  continue
                }
                const { generation } = read.blob.header
                assert.isAtLeast(generation, expected ?? 0, `seed ${seed}, kill ${kill}: ${group} went back`)
                const whole = yield* Body.toBytes(crashBlob(group, generation).body)
                assert.isTrue(Buffer.from(yield* Body.toBytes(read.blob.body)).equals(whole))
              }
              yield* tier.sweep
              assert.deepEqual(temporaryFiles(root), [])
              const { cleaned, quarantined } = yield* tier.stats
              assert.strictEqual(quarantined, 0)
              interruptedWrites += cleaned
              const entries = yield* Stream.runCollect(tier.scan())
              assert.deepInclude(yield* tier.usage, { entries: entries.length, exact: true })
            })
          )
        }
        assert.strictEqual(acknowledged.size, groups.length)
        assert.isAbove(interruptedWrites, 0, "kills fell into writes")
      }),
    120_000
  )
})

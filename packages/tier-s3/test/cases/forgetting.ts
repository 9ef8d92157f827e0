/** What a tier remembers of keys: nothing. */
import { assert } from "@effect/vitest"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import { randomBytes } from "node:crypto"
import { getHeapSnapshot, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { fixture } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

const collect = (): void => {
  setFlagsFromString("--expose-gc")
  const gc: unknown = runInNewContext("gc")
  if (typeof gc === "function") gc()
}

/** The numbers that follow a text anywhere in a string that is reachable. */
const reachableNumbers = (text: string): Effect.Effect<ReadonlySet<string>> =>
  Effect.promise(async () => {
    const pattern = new RegExp(`${text}(\\d+)`, "g")
    const found = new Set<string>()
    let end = ""
    for await (const piece of getHeapSnapshot() as AsyncIterable<Buffer>) {
      const window = end + piece.toString("latin1")
      for (const [, number = ""] of window.matchAll(pattern)) found.add(number)
      end = window.slice(-2 * text.length)
    }
    return found
  })

export const forgetting = (it: It): void => {
  it.effect("keys that were read, put and removed leave nothing in the memory of the process", () =>
    Effect.gen(function* () {
      const { open } = yield* fixture
      const tier = yield* open()
      const marker = `marker${randomBytes(6).toString("hex")}x`
      const count = 200
      const visit = (number: number) =>
        Effect.gen(function* () {
          const blob = Fixtures.blob({ group: `${marker}${1_000 + number}` })
          const { group } = blob.header.key
          yield* tier.get(blob.header.key)
          yield* tier.head(blob.header.key)
          yield* tier.put(blob)
          yield* tier.get(blob.header.key)
          yield* number % 2 === 0 ? tier.remove(blob.header.key, 1) : tier.removeGroup(group, 1)
        })
      yield* Effect.forEach(Array.from({ length: count }).keys(), visit, { concurrency: 8, discard: true })

      // The last ones may still be on their way out.
      let kept = yield* reachableNumbers(marker)
      for (let look = 0; look < 20 && kept.size > count / 10; look++) {
        yield* Effect.yieldNow
        collect()
        kept = yield* reachableNumbers(marker)
      }

      assert.isAtMost(kept.size, count / 10, `kept: ${[...kept].join(" ")}`)
    })
  )
}

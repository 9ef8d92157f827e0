import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { rename } from "node:fs/promises"
import { join } from "node:path"
import { bytesOf, explanationOf, jsonOf, problemOf, put, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { start } from "./support/TestServer.ts"

/** Takes the directory of the store away, as a mount that is gone. */
const takeAway = Effect.flatMap(Server, ({ dataDir }) =>
  Effect.promise(() => rename(join(dataDir, "masters"), join(dataDir, "away")))
)

const statusOf = (path: string) =>
  Effect.flatMap(send(path), (response) => Effect.as(bytesOf(response), response.status))

describe("a store that is gone", () => {
  it.live("takes nothing from readers that memory can answer; the others are told 503, never 404", () =>
    Effect.gen(function* () {
      const image = yield* Effect.promise(() => png(40, 40))
      yield* put("kept", image)
      assert.strictEqual(yield* statusOf("/images/kept?preset=thumb"), 200)
      assert.deepStrictEqual([yield* statusOf("/images/nobody"), yield* statusOf("/readyz")], [404, 200])

      yield* takeAway

      for (const path of ["/images/kept", "/images/kept?preset=thumb", "/images/kept/metadata", "/healthz"]) {
        assert.strictEqual(yield* statusOf(path), 200, path)
      }
      assert.strictEqual(yield* problemOf(yield* send("/readyz")), "unavailable")
      assert.strictEqual(yield* problemOf(yield* send("/images/other")), "unavailable")
      assert.strictEqual(yield* problemOf(yield* put("other", image)), "unavailable")
    }).pipe(Effect.provideServiceEffect(Server, start()))
  )

  it.live("leaves in doubt what an upload has done: the image before it is served, marked, logged and explained", () =>
    Effect.gen(function* () {
      const { log } = yield* Server
      const { digest, etag } = yield* jsonOf(yield* put("doubtful", yield* Effect.promise(() => png(40, 40))))
      yield* takeAway
      const other = yield* Effect.promise(() => png(50, 50))
      assert.strictEqual(yield* problemOf(yield* put("doubtful", other)), "unavailable")

      const served = yield* send("/images/doubtful")
      yield* bytesOf(served)
      const explained = yield* explanationOf(yield* send("/explain/images/doubtful"))

      assert.deepStrictEqual([served.status, served.headers.get("etag")], [200, etag])
      assert.strictEqual(served.headers.get("cache-status"), "terrace-memory;hit;detail=unconfirmed")
      assert.isTrue(
        log.some((line) => /message="answer not confirmed by the store" tier=memory id=doubtful/.test(line))
      )
      assert.deepStrictEqual([explained.answer, explained.from], ["found", "memory"])
      const [memory, store] = explained.master.tiers
      assert.deepStrictEqual([memory?.standing, memory?.has?.digest], ["unconfirmed", digest])
      assert.deepStrictEqual([store?.outcome, store?.why], ["failed", "unavailable"])
      // Which image is there is not known, so no condition on it is decided.
      const conditional = yield* put("doubtful", other, { "if-match": `"some other"` })
      assert.strictEqual(yield* problemOf(conditional), "unavailable")
    }).pipe(Effect.provideServiceEffect(Server, start()))
  )

  it.live("is not asked for a while after five failures, and clients are told when to come back", () =>
    Effect.gen(function* () {
      const image = yield* Effect.promise(() => png(40, 40))
      const ids = Array.from({ length: 5 }, (_, index) => `known_${index}`)
      for (const id of ids) assert.strictEqual((yield* put(id, image)).status, 201)
      yield* takeAway
      const refusals: Array<readonly [detail: string, retryAfter: number]> = []
      // A write may come when the breaker lets one through; then it is in doubt, and the next one is of another image.
      for (const id of ids) {
        for (let failure = 0; failure < 5; failure++) assert.strictEqual(yield* statusOf(`/images/${id}_missing`), 503)
        const response = yield* put(id, image)
        const { detail } = yield* jsonOf(response)
        assert.strictEqual(response.status, 503)
        refusals.push([String(detail), Number(response.headers.get("retry-after"))])
      }

      const refused = refusals.filter(([detail]) => detail.includes("is not asked for a while"))
      assert.isAbove(refused.length, 0, JSON.stringify(refusals))
      for (const [, seconds] of refused) assert.isTrue(Number.isInteger(seconds) && seconds >= 1 && seconds <= 30)
      const { chains } = yield* jsonOf(yield* send("/tiers"))
      assert.notStrictEqual(chains?.[0]?.tiers.at(-1)?.breaker, "closed")
      for (const id of ids) assert.strictEqual(yield* statusOf(`/images/${id}`), 200)
    }).pipe(Effect.provideServiceEffect(Server, start()))
  )
})

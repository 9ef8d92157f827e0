import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { bytesOf, explanationOf, jsonOf, problemOf, put, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import { start } from "./support/TestServer.ts"

layer(Layer.effect(Server, start()), { excludeTestServices: true, timeout: 60_000 })("operations", (it) => {
  it.effect("GET /tiers tells entries, bytes against budget, hits and misses of every tier", () =>
    Effect.gen(function* () {
      const { chains } = yield* jsonOf(yield* send("/tiers"))
      const memory = chains?.[0]?.tiers[0]

      assert.strictEqual(memory?.tier, "memory")
      assert.containsAllKeys(memory?.usage, ["bytes", "entries", "limit", "exact"])
      assert.containsAllKeys(memory?.counters, ["hits", "misses", "skipped", "failed"])
    })
  )

  it.effect("GET /tiers tells breakers, evictions, what was promoted, and what was declined and why", () =>
    Effect.gen(function* () {
      const { chains } = yield* jsonOf(yield* send("/tiers"))
      for (const { tiers } of chains ?? []) {
        for (const { breaker, counters } of tiers) {
          assert.strictEqual(breaker, "closed")
          assert.containsAllKeys(counters, ["stored", "promoted", "declined", "writeFailed", "removed"])
          assert.containsAllKeys(counters["declined"], ["too-large", "admission", "read-only", "expired"])
        }
      }
      assert.isNumber(chains?.[0]?.tiers[0]?.evictions)
    })
  )

  it.effect("GET /tiers tells what the memory of both chains holds once, so that sums are right", () =>
    Effect.gen(function* () {
      const { chains = [] } = yield* jsonOf(yield* send("/tiers"))
      const tiers = chains.flatMap((chain) => chain.tiers.map((tier) => ({ ...tier, chain: chain.chain })))

      assert.deepStrictEqual(
        tiers.map(({ chain, sharedWith, tier, usage }) => [chain, tier, sharedWith ?? typeof usage?.bytes]),
        [
          ["masters", "memory", "number"],
          ["masters", "filesystem", "number"],
          ["variants", "memory", "masters"],
          ["variants", "filesystem", "number"]
        ]
      )
    })
  )

  it.effect("GET /explain/images/:id tells what a read answers, and what every tier has", () =>
    Effect.gen(function* () {
      const { digest, bytes } = yield* jsonOf(yield* put("explained", yield* Effect.promise(() => png(300, 300))))
      const response = yield* send("/explain/images/explained")
      const report = yield* explanationOf(response)

      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      assert.deepInclude(report, { id: "explained", answer: "found", from: "memory" })
      assert.deepStrictEqual(
        report.master.tiers.map(({ breaker, has, outcome, role, standing, tier }) => [
          [tier, role, outcome, breaker, standing],
          [has?.digest, has?.size]
        ]),
        [
          [
            ["memory", "cache", "hit", "closed", "confirmed"],
            [digest, bytes]
          ],
          [
            ["filesystem", "store", "hit", "closed", undefined],
            [digest, bytes]
          ]
        ]
      )
      for (const { has, millis } of report.master.tiers) {
        assert.isAtLeast(millis, 0)
        assert.isAbove(has?.generation ?? 0, 0)
        assert.match(String(has?.createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      }
    })
  )

  it.effect("GET /explain/images/:id?preset=thumb explains the variant and its master", () =>
    Effect.gen(function* () {
      yield* put("explained-variant", yield* Effect.promise(() => png(300, 300)))
      const explain = Effect.flatMap(send("/explain/images/explained-variant?preset=thumb"), explanationOf)
      const before = yield* explain
      const thumb = yield* send("/images/explained-variant?preset=thumb")
      yield* bytesOf(thumb)
      const after = yield* explain

      assert.deepInclude(before, { preset: "thumb", answer: "made", from: "producer" })
      assert.deepStrictEqual(
        before.variant?.tiers.map(({ outcome, role, tier }) => [tier, role, outcome]),
        [
          ["memory", "cache", "miss"],
          ["filesystem", "cache", "miss"]
        ]
      )
      assert.deepInclude(before.master, { answer: "found", from: "memory" })
      assert.deepInclude(after, { answer: "found", from: "memory" })
      assert.strictEqual(`"${after.variant?.tiers[0]?.has?.digest}"`, thumb.headers.get("etag"))
    })
  )

  it.effect("GET /explain/images/:id of an image that is nowhere tells so, and remembers nothing of it", () =>
    Effect.gen(function* () {
      for (const query of ["", "?preset=thumb"]) {
        const report = yield* explanationOf(yield* send(`/explain/images/unheard-of${query}`))
        assert.strictEqual(report.answer, "not-found")
        assert.isUndefined(report.from)
        assert.isUndefined(report.variant)
      }
      yield* send("/images/unheard-of")
      const { answer, from } = yield* explanationOf(yield* send("/explain/images/unheard-of"))
      assert.deepStrictEqual([answer, from], ["not-found", "absences"])
    })
  )

  it.effect("GET /explain/images/:id tells nothing of paths, attributes or the machine", () =>
    Effect.gen(function* () {
      const { dataDir } = yield* Server
      const image = yield* Effect.promise(() => png(20, 20))
      yield* send("/images/discreet", {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ base64_data: image.toString("base64"), title: "A private title" })
      })
      const text = (yield* bytesOf(yield* send("/explain/images/discreet?preset=thumb"))).toString()

      for (const secret of [dataDir, "data", "/", "private", "title", "image.width"]) assert.notInclude(text, secret)
    })
  )

  it.effect("GET /explain/images/:id refuses what it does not know, as the image itself does", () =>
    Effect.gen(function* () {
      const attempts: ReadonlyArray<readonly [path: string, problem: string]> = [
        ["hero?preset=poster", "invalid-parameter"],
        ["hero?preset=", "invalid-parameter"],
        ["hero?preset=thumb&preset=thumb", "invalid-parameter"],
        ["hero?v=0123456789abcdef", "invalid-parameter"],
        ["hero?width=200", "invalid-parameter"],
        [".hidden", "invalid-id"],
        ["%00", "invalid-id"],
        ["hero/metadata", "invalid-id"],
        ["", "invalid-id"]
      ]
      for (const [path, problem] of attempts) {
        assert.strictEqual(yield* problemOf(yield* send(`/explain/images/${path}`)), problem, path)
      }
      assert.strictEqual(yield* problemOf(yield* send("/explain/images")), "not-found")
      const written = yield* send("/explain/images/hero", { method: "DELETE" })
      assert.strictEqual(written.headers.get("allow"), "GET, HEAD")
      assert.strictEqual(yield* problemOf(written), "method-not-allowed")
    })
  )
})

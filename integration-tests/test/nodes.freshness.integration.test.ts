/**
 * What one node writes, the others serve: by messages, by comparing after a break, by `revalidateAfter` otherwise.
 *
 * Nodes of the deployment trust their copies for an hour, so that nothing but a message, or the break that lost one, can
 * be what makes them look again.
 */
import { assert, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import sharp from "sharp"
import * as Deployment from "./support/Deployment.ts"
import { ask, get, json, put, remove } from "./support/Deployment.ts"
import { eventually } from "./support/eventually.ts"
import { bytesOf } from "./support/Http.ts"
import { png } from "./support/images.ts"

/** Pictures of which no two have the same shape. */
const pictures = Effect.promise(() => Promise.all([1, 2, 3, 4].map((step) => png(40 + step * 8, 64 - step * 8, step))))

const widthOf = (bytes: Buffer) => Effect.promise(async () => (await sharp(bytes).metadata()).width)

/** Within `revalidateAfter`, a second, and what a busy machine takes. */
const inTime = <E, R>(seen: Effect.Effect<void, E, R>) =>
  Effect.map(Effect.timed(seen), ([elapsed]) => assert.isBelow(Duration.toMillis(elapsed), 3_500))

/** Reads all that is served of an image, until memory answers. */
const warm = (node: Deployment.Node, id: string) =>
  eventually(
    `${id} is in memory`,
    Effect.gen(function* () {
      const [image, thumb] = yield* Effect.all([
        get(node, id),
        get(node, `${id}?preset=thumb`),
        json(node, `/images/${id}/metadata`)
      ])
      return [image, thumb].every(({ cacheStatus }) => cacheStatus === "terrace-memory;hit")
    })
  )

layer(Deployment.layer({ TERRACE_REVALIDATE_AFTER: "1 hour" }), { excludeTestServices: true, timeout: 120_000 })(
  "two nodes over one bucket",
  (it) => {
    it.effect("every one of two hundred writes on one is seen by the other, which has the image hot in memory", () =>
      Effect.gen(function* () {
        const { a, b } = yield* Deployment.Deployment
        const all = yield* pictures
        const writer = (id: string) =>
          Effect.gen(function* () {
            for (let turn = 0; turn < 25; turn++) {
              const isRemoval = turn % 5 === 4
              if (isRemoval) {
                assert.strictEqual(yield* remove(a, id), 200)
                for (const path of [id, `${id}?preset=thumb`, `${id}/metadata`]) {
                  yield* eventually(
                    `${path} is gone in turn ${turn}`,
                    Effect.map(get(b, path), ({ status }) => status === 404)
                  )
                }
                continue
              }
              const picture = all[turn % all.length] ?? Buffer.alloc(0)
              const { etag } = yield* put(a, id, picture)
              yield* eventually(
                `${id} is the new one in turn ${turn}`,
                Effect.map(get(b, id), (seen) => seen.etag === etag)
              )
              // Whoever has seen the new one never sees an old one again, whatever of it is asked for.
              const thumb = yield* get(b, `${id}?preset=thumb`)
              const head = yield* ask(b, `/images/${id}`, { method: "HEAD" })
              const metadata = yield* json(b, `/images/${id}/metadata`)
              assert.strictEqual(yield* widthOf(thumb.bytes), yield* widthOf(picture), `thumb in turn ${turn}`)
              assert.strictEqual(head.headers.get("etag"), etag)
              assert.strictEqual(metadata.etag, etag)
              yield* warm(b, id)
            }
          })
        const ids = Array.from({ length: 8 }, (_, index) => `fresh_${index}`)

        yield* Effect.forEach(ids, writer, { concurrency: 4, discard: true })
      })
    )

    it.effect("an absence that one remembers ends with an upload on the other", () =>
      Effect.gen(function* () {
        const { a, b } = yield* Deployment.Deployment
        const [picture = Buffer.alloc(0)] = yield* pictures
        const waits: Array<number> = []
        for (let turn = 0; turn < 10; turn++) {
          const id = `absent_${turn}`
          assert.strictEqual((yield* get(b, id)).status, 404)
          const explained = yield* Deployment.explain(b, id)
          assert.deepInclude(explained, { answer: "not-found", from: "absences" })
          yield* put(a, id, picture)
          const there = eventually(
            `${id} is there`,
            Effect.map(get(b, id), ({ status }) => status === 200)
          )
          const [wait] = yield* Effect.timed(there)
          waits.push(Duration.toMillis(wait))
        }
        // By itself an absence is forgotten after two seconds.
        assert.isAtMost(waits.filter((millis) => millis > 1_000).length, 3, waits.join(", "))
      })
    )

    it.effect("a node that was cut off from Redis compares what it holds as soon as it is back", () =>
      Effect.gen(function* () {
        const { a, b } = yield* Deployment.Deployment
        const [before = Buffer.alloc(0), after = Buffer.alloc(0)] = yield* pictures
        const ids = ["gap_replaced", "gap_removed"]
        for (const id of ids) {
          yield* put(a, id, before)
          yield* warm(b, id)
        }

        yield* b.redis.down
        const { etag } = yield* put(a, "gap_replaced", after)
        assert.strictEqual(yield* remove(a, "gap_removed"), 200)
        for (const id of ids) assert.strictEqual((yield* get(b, id)).cacheStatus, "terrace-memory;hit", id)
        yield* b.redis.set({})

        yield* eventually(
          "the new one is served",
          Effect.map(get(b, "gap_replaced"), (seen) => seen.etag === etag)
        )
        yield* eventually(
          "the removed one is gone",
          Effect.map(get(b, "gap_removed"), ({ status }) => status === 404)
        )
      })
    )

    it.effect("what a node writes that is cut off from Redis, the others notice as soon as it is back", () =>
      Effect.gen(function* () {
        const { a, b } = yield* Deployment.Deployment
        const [before = Buffer.alloc(0), after = Buffer.alloc(0)] = yield* pictures
        yield* put(a, "untold", before)
        yield* warm(b, "untold")

        yield* a.redis.down
        const { etag, status } = yield* put(a, "untold", after)
        assert.strictEqual(status, 200)
        assert.strictEqual((yield* get(b, "untold")).cacheStatus, "terrace-memory;hit")
        yield* a.redis.set({})

        yield* eventually(
          "the new one is served",
          Effect.map(get(b, "untold"), (seen) => seen.etag === etag)
        )
      })
    )

    it.effect("a node that was away compares what its disk has kept, before it serves it", () =>
      Effect.gen(function* () {
        const { a, twoMore } = yield* Deployment.Deployment
        const [node] = yield* twoMore()
        const [before = Buffer.alloc(0), after = Buffer.alloc(0)] = yield* pictures
        for (const id of ["kept_same", "kept_replaced", "kept_removed"]) {
          yield* put(a, id, before)
          yield* warm(node, id)
        }
        yield* Effect.promise(() => node.server.end("SIGTERM"))
        const { etag } = yield* put(a, "kept_replaced", after)
        assert.strictEqual(yield* remove(a, "kept_removed"), 200)

        const back = yield* node.restart

        assert.match((yield* get(back, "kept_same")).cacheStatus ?? "", /^terrace-filesystem;hit/)
        assert.strictEqual((yield* get(back, "kept_replaced")).etag, etag)
        assert.strictEqual((yield* get(back, "kept_removed")).status, 404)
      })
    )

    it.effect(
      "a node that is cut off from Redis, or whose Redis hangs, serves nothing older than revalidateAfter",
      () =>
        Effect.gen(function* () {
          const { a, twoMore } = yield* Deployment.Deployment
          const all = yield* pictures
          const [cutOff, hung] = yield* twoMore({ TERRACE_REVALIDATE_AFTER: "1 second" })
          const without = (node: Deployment.Node, id: string, redis: Effect.Effect<void, unknown>) =>
            Effect.gen(function* () {
              yield* put(a, id, all[0] ?? Buffer.alloc(0))
              yield* warm(node, id)

              yield* redis

              for (let turn = 1; turn < all.length; turn++) {
                const { etag } = yield* put(a, id, all[turn] ?? Buffer.alloc(0))
                yield* inTime(
                  eventually(
                    `${id} is the new one in turn ${turn}`,
                    Effect.map(get(node, id), (seen) => seen.etag === etag)
                  )
                )
                // Whoever has seen the new one never sees an old one again.
                assert.strictEqual((yield* json(node, `/images/${id}/metadata`)).etag, etag)
                assert.strictEqual((yield* get(node, id)).etag, etag)
              }
              assert.strictEqual(yield* remove(a, id), 200)
              yield* eventually(
                `${id} is gone`,
                // What Redis could know of it cannot be asked; one that hangs is waited for.
                Effect.map(get(node, id), ({ status }) => status === 503)
              )
            })

          yield* Effect.all(
            [without(cutOff, "cut_off", cutOff.redis.down), without(hung, "hung", hung.redis.set({ blackHole: true }))],
            { concurrency: 2 }
          )
        })
    )

    it.effect("what one has uploaded, the other lists, explains, serves in parts and by version", () =>
      Effect.gen(function* () {
        const { a, b } = yield* Deployment.Deployment
        const [picture = Buffer.alloc(0)] = yield* pictures
        const { etag } = yield* put(a, "shared_1", picture)
        yield* put(a, "shared_2", picture)

        const listed = yield* json(b, "/images?prefix=shared_")
        assert.deepStrictEqual(
          listed.images?.map(({ id }) => id).toSorted((one, other) => one.localeCompare(other)),
          ["shared_1", "shared_2"]
        )
        yield* warm(b, "shared_1")
        const { master } = yield* Deployment.explain(b, "shared_1")
        assert.deepStrictEqual(
          master.tiers.map(({ outcome, role, standing, tier }) => [tier, role, outcome, standing]),
          [
            ["memory", "cache", "hit", "confirmed"],
            ["filesystem", "cache", "hit", "confirmed"],
            ["s3", "store", "hit", undefined],
            ["legacy", "origin", "hit", undefined]
          ]
        )
        const whole = yield* get(b, "shared_1")
        const part = yield* ask(b, "/images/shared_1", { headers: { range: "bytes=10-19" } })
        assert.strictEqual(part.status, 206)
        assert.deepStrictEqual(yield* bytesOf(part), whole.bytes.subarray(10, 20))
        const { url } = yield* json(b, "/images/shared_1/metadata")
        const [onA, onB] = [yield* ask(a, url ?? ""), yield* ask(b, url ?? "")]
        assert.deepStrictEqual([onA.headers.get("etag"), onB.headers.get("etag")], [etag, etag])
        assert.match(onB.headers.get("cache-control") ?? "", /immutable/)
      })
    )

    it.effect("a thumbnail that one has made of the old image is never served by the other for the new one", () =>
      Effect.gen(function* () {
        const { a, b } = yield* Deployment.Deployment
        const all = yield* pictures
        yield* put(a, "thumbs", all[0] ?? Buffer.alloc(0))
        for (let turn = 1; turn < 40; turn++) {
          yield* Effect.all([get(a, "thumbs?preset=thumb"), get(b, "thumbs?preset=thumb")], { concurrency: 2 })
          const picture = all[turn % all.length] ?? Buffer.alloc(0)
          const { etag } = yield* put(turn % 2 === 0 ? a : b, "thumbs", picture)
          const reader = turn % 2 === 0 ? b : a
          yield* eventually(
            `the new one is served in turn ${turn}`,
            Effect.map(get(reader, "thumbs"), (seen) => seen.etag === etag)
          )
          const { bytes } = yield* get(reader, "thumbs?preset=thumb")
          assert.strictEqual(yield* widthOf(bytes), yield* widthOf(picture), `turn ${turn}`)
        }
      })
    )
  }
)

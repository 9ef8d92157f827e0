/**
 * Writes of one image on several nodes: the last one to reach the store wins everywhere, and conditions are held to.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Deployment from "./support/Deployment.ts"
import { ask, get, json, put, remove } from "./support/Deployment.ts"
import { eventually } from "./support/eventually.ts"
import { png } from "./support/images.ts"

const pictures = Effect.promise(() => Promise.all([1, 2, 3].map((step) => png(40 + step * 8, 64 - step * 8, step))))

const originalsOf = ({ objects }: Deployment.Nodes, id: string) =>
  Effect.map(objects, (all) => all.filter((name) => name.includes(`${id}/original`)))

/** The original of the image that is served now, by the name that it has in the bucket. */
const ownOriginal = (node: Deployment.Node, id: string) =>
  Effect.map(json(node, `/images/${id}/metadata`), ({ digest = "" }) => `original~${digest.slice(0, 16)}`)

layer(Deployment.layer({ TERRACE_REVALIDATE_AFTER: "1 hour", TERRACE_KEEP_ORIGINAL: "on" }), {
  excludeTestServices: true,
  timeout: 120_000
})("writes on two nodes", (it) => {
  it.effect("of one image at the same time leave both with the same one, which is one of the two", () =>
    Effect.gen(function* () {
      const nodes = yield* Deployment.Deployment
      const { a, b } = nodes
      const [one = Buffer.alloc(0), other = Buffer.alloc(0)] = yield* pictures
      for (let round = 0; round < 20; round++) {
        const id = `rivals_${round % 4}`
        const written = yield* Effect.all([put(a, id, one), put(b, id, other)], { concurrency: 2 })
        for (const { status } of written) assert.include([200, 201], status)

        yield* eventually(
          `both serve the same in round ${round}`,
          Effect.map(Effect.all([get(a, id), get(b, id)]), ([onA, onB]) => onA.etag === onB.etag)
        )

        const { etag } = yield* get(a, id)
        assert.include(
          written.map((each) => each.etag),
          etag
        )
        const thumbs = yield* Effect.forEach([a, b], (node) => get(node, `${id}?preset=thumb`))
        assert.strictEqual(thumbs[0]?.etag, thumbs[1]?.etag)
        const originals = yield* originalsOf(nodes, id)
        assert.lengthOf(originals, 1, `originals in round ${round}`)
        assert.include(originals[0], yield* ownOriginal(a, id))
      }
    })
  )

  it.effect("on condition of an ETag that the other node has replaced are refused, on either node", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Deployment.Deployment
      const [one = Buffer.alloc(0), two = Buffer.alloc(0), three = Buffer.alloc(0)] = yield* pictures
      for (let round = 0; round < 10; round++) {
        const id = `conditional_${round}`
        const first = yield* put(a, id, one)
        yield* get(b, id)
        const second = yield* put(b, id, two, { "if-match": first.etag ?? "" })
        assert.strictEqual(second.status, 200)

        for (const node of [a, b]) {
          assert.strictEqual((yield* put(node, id, three, { "if-match": first.etag ?? "" })).status, 412)
          assert.strictEqual(yield* remove(node, id, { "if-match": first.etag ?? "" }), 412)
        }

        for (const node of [a, b]) {
          yield* eventually(
            "the second one is served",
            Effect.map(get(node, id), ({ etag }) => etag === second.etag)
          )
        }
        assert.strictEqual(yield* remove(a, id, { "if-match": second.etag ?? "" }), 200)
      }
    })
  )

  it.effect("that ask for there being none: exactly one of several at the same time wins", () =>
    Effect.gen(function* () {
      const { a, b } = yield* Deployment.Deployment
      const [one = Buffer.alloc(0), other = Buffer.alloc(0)] = yield* pictures
      for (let round = 0; round < 10; round++) {
        const id = `first_${round}`
        const none = { "if-none-match": "*" }
        const written = yield* Effect.all([put(a, id, one, none), put(b, id, other, none)], { concurrency: 2 })

        assert.deepStrictEqual(
          written.map(({ status }) => status).toSorted((left, right) => left - right),
          [201, 412]
        )
        const winner = written.find(({ status }) => status === 201)
        for (const node of [a, b]) {
          yield* eventually(
            "the winner is served",
            Effect.map(get(node, id), ({ etag }) => etag === winner?.etag)
          )
        }
      }
    })
  )

  it.effect("leave the original of the image that is there, and no other", () =>
    Effect.gen(function* () {
      const nodes = yield* Deployment.Deployment
      const { a, b } = nodes
      const [one = Buffer.alloc(0), two = Buffer.alloc(0)] = yield* pictures
      yield* put(a, "kept", one)
      yield* put(b, "kept", two)
      yield* put(a, "kept", one)
      yield* put(b, "kept", two)

      const originals = yield* originalsOf(nodes, "kept")

      assert.lengthOf(originals, 1)
      assert.include(originals[0], yield* ownOriginal(b, "kept"))
      assert.strictEqual(yield* remove(a, "kept"), 200)
      assert.deepStrictEqual(yield* originalsOf(nodes, "kept"), [])
    })
  )

  it.effect("that were acknowledged are there when the node that took them is killed right after", () =>
    Effect.gen(function* () {
      const { b, twoMore } = yield* Deployment.Deployment
      const [one = Buffer.alloc(0), two = Buffer.alloc(0)] = yield* pictures
      const [victim] = yield* twoMore()
      yield* put(victim, "survivor", one)
      yield* put(victim, "removed", one)
      for (const id of ["survivor", "removed"]) assert.strictEqual((yield* get(b, id)).status, 200)
      const { etag } = yield* put(victim, "survivor", two)
      assert.strictEqual(yield* remove(victim, "removed"), 200)

      yield* Deployment.kill(victim)

      yield* eventually(
        "the last upload is served",
        Effect.map(get(b, "survivor"), (seen) => seen.etag === etag)
      )
      yield* eventually(
        "what was removed is gone",
        Effect.map(get(b, "removed"), ({ status }) => status === 404)
      )
      assert.strictEqual((yield* ask(b, "/readyz")).status, 200)
    })
  )
})

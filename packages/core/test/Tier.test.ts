import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Blob from "../src/Blob.ts"
import * as Key from "../src/Key.ts"
import * as Tier from "../src/Tier.ts"

const blobOf = (group: string, generation = 1, text = "bytes"): Blob.Blob =>
  Blob.make(Key.makeUnsafe(group, "master"), Buffer.from(text), { contentType: "text/plain", generation, createdAt: 0 })

/** A tier that writes down its calls and answers every read with a hit. */
const recording = () => {
  const calls: Array<string> = []
  const note = <A>(call: string, answer: A) => Effect.sync(() => (calls.push(call), answer))
  const held = ["ns-a", "ns-a.b", "ns-", "ns--c", "ns", "nso-a", "other"]
  const tier: Tier.Tier = {
    name: "recording",
    capabilities: {
      streaming: false,
      ranges: false,
      atomicPut: "none",
      durable: false,
      persistent: false,
      shared: false,
      list: true,
      nativeExpiry: false
    },
    get: (key) => note(`get ${key.text}`, Tier.hit(blobOf(key.group))),
    head: (key) => note(`head ${key.text}`, Tier.hitHeader(blobOf(key.group).header)),
    put: (blob, options) => note(`put ${blob.header.key.text} ${options?.expected}`, Tier.stored),
    remove: (key, generation) => note(`remove ${key.text} ${generation}`, Tier.removed),
    removeGroup: (group, generation) =>
      note(`removeGroup ${group} ${generation}`, { _tag: "Removed", removed: 1, superseded: 0 }),
    scan: ({ groupPrefix = "", after } = {}) =>
      Stream.suspend(() => {
        calls.push(`scan ${groupPrefix} ${after}`)
        return Stream.fromIterable(
          held
            .filter((group) => group.startsWith(groupPrefix))
            .map((group) => ({ key: Key.makeUnsafe(group, "master"), size: 5, cursor: `cursor of ${group}` }))
        )
      }),
    usage: Effect.succeed({ bytes: 35, entries: 7, exact: true })
  }
  return { tier, calls }
}

const newer = blobOf("g", 8, "newer").header
const current = blobOf("g", 7, "current").header
const older = blobOf("g", 6, "older").header

describe("Tier", () => {
  describe("refusal", () => {
    it("lets a put go on if nothing is there, or something older", () => {
      assert.isUndefined(Tier.refusal(newer, undefined, undefined))
      assert.isUndefined(Tier.refusal(newer, current, undefined))
      assert.isUndefined(Tier.refusal(newer, undefined, "absent"))
      assert.isUndefined(Tier.refusal(newer, current, 7))
    })

    it("answers Superseded to an older generation, and to the same one with other bytes", () => {
      const superseded = { _tag: "Superseded", current: 7 } as const

      assert.deepStrictEqual(Tier.refusal(older, current, undefined), superseded)
      assert.deepStrictEqual(Tier.refusal(blobOf("g", 7, "other").header, current, undefined), superseded)
      assert.deepStrictEqual(Tier.refusal(older, current, 7), superseded)
    })

    it("answers Stored to a retry, whatever it expects", () => {
      for (const expected of [undefined, "absent", 6, 7, 8] as const) {
        assert.deepStrictEqual(Tier.refusal(current, current, expected), Tier.stored)
      }
    })

    it("answers Conflict, before it compares generations, if something else is there than expected", () => {
      assert.deepStrictEqual(Tier.refusal(newer, current, "absent"), { _tag: "Conflict", current: 7 })
      assert.deepStrictEqual(Tier.refusal(newer, current, 6), { _tag: "Conflict", current: 7 })
      assert.deepStrictEqual(Tier.refusal(newer, undefined, 7), { _tag: "Conflict", current: "absent" })
      assert.deepStrictEqual(Tier.refusal(older, current, "absent"), { _tag: "Conflict", current: 7 })
    })
  })

  describe("within", () => {
    it.effect("passes every call on with the namespace before the group", () =>
      Effect.gen(function* () {
        const { tier, calls } = recording()
        const view = Tier.within(tier, "ns")
        const blob = blobOf("a")

        yield* view.get(blob.header.key)
        yield* view.head(blob.header.key)
        yield* view.put(blob, { expected: 3 })
        yield* view.remove(blob.header.key, 4)
        yield* view.removeGroup("a", 5)
        yield* Stream.runDrain(view.scan({ after: "here" }))
        yield* Stream.runDrain(view.scan({ groupPrefix: "b" }))

        assert.deepStrictEqual(calls, [
          "get ns-a/master",
          "head ns-a/master",
          "put ns-a/master 3",
          "remove ns-a/master 4",
          "removeGroup ns-a 5",
          "scan ns- here",
          "scan ns-b undefined"
        ])
      })
    )

    it.effect("answers headers and entries with the key that was asked for", () =>
      Effect.gen(function* () {
        const view = Tier.within("ns")(recording().tier)
        const { key } = blobOf("a").header

        const read = yield* view.get(key)
        const head = yield* view.head(key)
        const entries = yield* Stream.runCollect(view.scan())

        assert.deepStrictEqual(read._tag === "Hit" && read.blob.header.key, key)
        assert.deepStrictEqual(head._tag === "Hit" && head.header.key, key)
        assert.deepInclude(entries[0], { key, size: 5, cursor: "cursor of ns-a" })
      })
    )

    it.effect("lists its own groups only, and none that it could not name", () =>
      Effect.gen(function* () {
        const view = Tier.within(recording().tier, "ns")

        const entries = yield* Stream.runCollect(view.scan())

        assert.deepStrictEqual(
          entries.map((entry) => entry.key.text),
          ["a/master", "a.b/master"]
        )
      })
    )

    it.effect("holds nothing under a group that is too long beside the namespace, and declines it", () =>
      Effect.gen(function* () {
        const { tier, calls } = recording()
        const view = Tier.within(tier, "ns")
        const long = blobOf("g".repeat(198))

        assert.deepStrictEqual(yield* view.get(long.header.key), Tier.miss)
        assert.deepStrictEqual(yield* view.head(long.header.key), Tier.miss)
        assert.deepStrictEqual(yield* view.put(long), Tier.declined("too-large"))
        assert.deepStrictEqual(yield* view.remove(long.header.key, 1), Tier.absent)
        assert.deepInclude(yield* view.removeGroup(long.header.key.group, 1), { _tag: "Removed", removed: 0 })
        assert.deepStrictEqual(calls, [])

        yield* view.get(Key.makeUnsafe("g".repeat(197), "master"))
        assert.strictEqual(calls.length, 1)
      })
    )

    it("throws for a namespace that no group can begin with", () => {
      const { tier } = recording()

      for (const namespace of ["", "-", "a/b", "_", "x".repeat(200)]) {
        assert.throws(() => Tier.within(tier, namespace), Key.InvalidKey)
      }
    })

    it.effect("nests", () =>
      Effect.gen(function* () {
        const { tier, calls } = recording()

        yield* Tier.within(Tier.within(tier, "outer"), "inner").get(blobOf("a").header.key)

        assert.deepStrictEqual(calls, ["get outer-inner-a/master"])
      })
    )
  })

  describe("readOnly", () => {
    it.effect("reads, lists and counts as the tier does", () =>
      Effect.gen(function* () {
        const { tier, calls } = recording()
        const view = Tier.readOnly(tier)
        const { key } = blobOf("a").header

        assert.strictEqual((yield* view.get(key))._tag, "Hit")
        assert.strictEqual((yield* view.head(key))._tag, "Hit")
        assert.strictEqual((yield* Stream.runCollect(view.scan())).length, 7)
        assert.strictEqual((yield* view.usage).entries, 7)
        assert.strictEqual(calls.length, 3)
      })
    )

    it.effect("declines puts and fails removals with Unsupported, without a call", () =>
      Effect.gen(function* () {
        const { tier, calls } = recording()
        const view = Tier.readOnly(tier)
        const { key } = blobOf("a").header

        assert.deepStrictEqual(yield* view.put(blobOf("a")), Tier.declined("read-only"))
        const remove = yield* Effect.flip(view.remove(key, 1))
        const removeGroup = yield* Effect.flip(view.removeGroup("a", 1))

        assert.strictEqual(remove.message, "recording.remove: Unsupported: write")
        assert.strictEqual(removeGroup.message, "recording.removeGroup: Unsupported: write")
        assert.deepStrictEqual(calls, [])
      })
    )
  })
})

/**
 * The originals of old records, where conversions meet uploads, removals and writes of others.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Chain from "@terrace/core/Chain"
import * as Header from "@terrace/core/Header"
import type { Tier } from "@terrace/core/Tier"
import { TierError, Unavailable } from "@terrace/core/TierError"
import type { Master } from "@terrace/image/Images"
import * as ImageError from "@terrace/image/ImageError"
import * as Images from "@terrace/image/Images"
import * as Base64 from "@terrace/legacy-base64/Base64"
import * as LegacyRecord from "@terrace/legacy-base64/LegacyRecord"
import { type Decoded, fingerprint, type LegacyRecords, type Outcome } from "@terrace/legacy-base64/Records"
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import sharp from "sharp"
import * as ImageAttributes from "../src/ImageAttributes.ts"
import * as ImageKeys from "../src/ImageKeys.ts"
import * as ImageLibrary from "../src/ImageLibrary.ts"
import * as LegacyOrigin from "../src/LegacyOrigin.ts"
import * as RequestBody from "../src/RequestBody.ts"

const png = (width: number): Effect.Effect<Buffer> =>
  Effect.promise(() =>
    sharp({ create: { width, height: 20, channels: 3, background: "#4a7" } })
      .png()
      .toBuffer()
  )

const recordOf = (image: Buffer): Buffer => Buffer.from(JSON.stringify({ base64_data: image.toString("base64") }))

const decoded = (record: Uint8Array) =>
  Result.gen(function* () {
    const { base64, metadata } = yield* LegacyRecord.parse(record)
    const image = base64 === undefined ? undefined : yield* Base64.decode(base64, 1_000_000)
    return { image, metadata } satisfies Decoded
  })

/** Old records in a map, whose compactions wait until they may go on. */
const heldRecords = () => {
  const texts = new Map<string, Buffer>()
  const reached = Deferred.makeUnsafe<void>()
  const open = Deferred.makeUnsafe<void>()
  const done = Deferred.makeUnsafe<void>()
  const compacted = (id: string, sha1: string, after: string): Outcome => {
    const now = texts.get(id)
    if (now === undefined) return "gone"
    if (fingerprint(now).sha1 !== sha1) return "changed"
    texts.set(id, Buffer.from(after))
    return "compacted"
  }
  const records: LegacyRecords = {
    read: (id) => Effect.sync(() => texts.get(id)),
    size: (id) => Effect.sync(() => texts.get(id)?.byteLength ?? 0),
    decode: (record) => Effect.suspend(() => Effect.fromResult(decoded(record))),
    compact: (id, { sha1 }, after) =>
      Effect.gen(function* () {
        yield* Deferred.succeed(reached, undefined)
        yield* Deferred.await(open)
        const outcome = compacted(id, sha1, after)
        if (outcome === "compacted") yield* Deferred.succeed(done, undefined)
        return outcome
      }),
    countNoImage: Effect.void
  }
  return {
    texts,
    records,
    reached: Deferred.await(reached),
    open: Deferred.succeed(open, undefined),
    /** Done when a record has been compacted. */
    isCompacted: Deferred.await(done)
  }
}

/** Two nodes over one store and the same records. */
const setup = Effect.fnUntraced(function* (keepOriginal = true, budgetBytes = 100_000_000) {
  const inner = yield* MemoryTier.make({ name: "store", maxBytes: 100_000_000 })
  const store: Tier = {
    ...inner,
    peek: undefined,
    capabilities: { ...inner.capabilities, persistent: true, durable: true, shared: true }
  }
  const { isCompacted, open, reached, records, texts } = heldRecords()
  const engine = yield* Images.Images
  const node = ImageLibrary.make({
    masters: { caches: [], store: { tier: store } },
    variants: { caches: [] },
    keepOriginal,
    presets: new Map(),
    origin: (originals) =>
      LegacyOrigin.make({
        records,
        engine,
        originals,
        budget: new RequestBody.Budget(budgetBytes),
        maxRecordBytes: 1_000_000
      })
  })
  const scope = yield* Scope.make()
  return {
    here: yield* Effect.provideService(node, Scope.Scope, scope),
    there: yield* node,
    texts,
    reached,
    open,
    isCompacted,
    /** Lets compactions go on, and waits for all that is under way here. */
    finish: Effect.andThen(open, Scope.close(scope, Exit.void)),
    names: Effect.map(Stream.runCollect(store.scan()), (entries) => entries.map(({ key }) => key.name).sort())
  }
})

const nameOf = (digest: string): string => ImageKeys.original("hero", digest).name
const always = () => Effect.undefined

const run = <A, E>(test: Effect.Effect<A, E, Images.Images | Scope.Scope>) =>
  Effect.scoped(test).pipe(Effect.provide([NodeFileSystem.layer, Images.layer()]))

describe("the original of an old record", () => {
  it.live("goes if the record is deleted while it is converted", () =>
    run(
      Effect.gen(function* () {
        const { finish, here, names, reached, texts } = yield* setup()
        texts.set("hero", recordOf(yield* png(20)))
        yield* here.master("hero")
        yield* reached
        texts.delete("hero")

        yield* finish

        assert.deepStrictEqual(yield* names, [])
      })
    )
  )

  it.live("stays if another node has stored the same bytes after the record was deleted", () =>
    run(
      Effect.gen(function* () {
        const { finish, here, names, reached, texts, there } = yield* setup()
        const image = yield* png(20)
        texts.set("hero", recordOf(image))
        yield* here.master("hero")
        yield* reached
        texts.delete("hero")
        yield* there.remove("hero", always)
        const { header } = yield* there.ingest("hero", image, {}, always)

        yield* finish

        assert.deepStrictEqual(yield* names, ["master", nameOf(header.digest)])
      })
    )
  )

  it.live("goes if the record has other content before it is compacted, whose original stays", () =>
    run(
      Effect.gen(function* () {
        const { finish, here, isCompacted, names, open, reached, texts, there } = yield* setup()
        texts.set("hero", recordOf(yield* png(20)))
        yield* here.master("hero")
        yield* reached
        texts.set("hero", recordOf(yield* png(30)))

        yield* open
        yield* isCompacted
        yield* finish

        const stored = yield* there.header("hero")
        assert.deepStrictEqual(yield* names, ["master", stored._tag === "Found" ? nameOf(stored.header.digest) : ""])
      })
    )
  )

  for (const keepOriginal of [true, false]) {
    it.live(`goes when an upload replaces the image, whose own original is ${keepOriginal ? "" : "not "}kept`, () =>
      run(
        Effect.gen(function* () {
          const { finish, here, names, texts, there } = yield* setup(keepOriginal)
          texts.set("hero", recordOf(yield* png(20)))
          yield* here.master("hero")
          yield* finish
          assert.lengthOf(yield* names, 2)

          const { header } = yield* there.ingest("hero", yield* png(30), {}, always)

          assert.deepStrictEqual(yield* names, keepOriginal ? ["master", nameOf(header.digest)] : ["master"])
        })
      )
    )
  }

  it.live("goes when the image is removed on the condition that it is the one which was seen", () =>
    run(
      Effect.gen(function* () {
        const { finish, here, names, texts, there } = yield* setup()
        texts.set("hero", recordOf(yield* png(20)))
        yield* here.master("hero")
        yield* finish
        assert.lengthOf(yield* names, 2)

        yield* there.remove("hero", (current) => Effect.succeed(current?.generation))

        assert.deepStrictEqual(yield* names, [])
      })
    )
  )

  it.live("stays when an upload has the same master", () =>
    run(
      Effect.gen(function* () {
        const { finish, here, names, texts, there } = yield* setup(false)
        const image = yield* png(20)
        texts.set("hero", recordOf(image))
        yield* here.master("hero")
        yield* finish

        yield* there.ingest("hero", image, {}, always)

        assert.lengthOf(yield* names, 2)
      })
    )
  )
})

/** Makes the same master of everything. */
const engine = {
  normalise: () =>
    Effect.succeed<Master>({
      bytes: Buffer.from("a master"),
      contentType: "image/webp",
      width: 1,
      height: 1,
      frames: 1,
      alpha: false,
      sourceFormat: "png"
    })
}

describe("an old record that Redis did not compact when it was asked", () => {
  const down = new TierError({
    tier: "legacy",
    operation: "put",
    reason: new Unavailable({ cause: new Error("down") })
  })

  /** A chain over records, the first three compactions of which fail; what is stored is told by name. */
  const failing = Effect.gen(function* () {
    const { open, records, texts } = heldRecords()
    const inner = yield* MemoryTier.make({ name: "store", maxBytes: 1_000_000 })
    const store: Tier = {
      ...inner,
      peek: undefined,
      capabilities: { ...inner.capabilities, persistent: true, durable: true }
    }
    let failures = 0
    const originals = yield* Chain.make({ name: "originals", caches: [], store: { tier: store } })
    const origin = LegacyOrigin.make({
      records: {
        ...records,
        compact: (...all) => Effect.suspend(() => (failures++ < 3 ? Effect.fail(down) : records.compact(...all)))
      },
      engine,
      originals,
      budget: new RequestBody.Budget(1_000_000),
      maxRecordBytes: 100_000
    })
    const chain = yield* Chain.make({ name: "masters", caches: [], store: { tier: store }, origin })
    texts.set("hero", recordOf(Buffer.from("bytes")))
    yield* open
    yield* chain.get(ImageKeys.master("hero"))
    yield* chain.idle
    return { origin, originals, store, texts }
  })

  it.effect("is compacted later", () =>
    Effect.gen(function* () {
      const { store, texts } = yield* failing
      yield* TestClock.adjust("1 minute")

      assert.include(texts.get("hero")?.toString(), `"cached": true`)
      assert.strictEqual((yield* store.usage).entries, 2)
    })
  )

  it.effect("leaves master and original where they are if it is gone by then: it may have been lost", () =>
    Effect.gen(function* () {
      const { store, texts } = yield* failing
      texts.delete("hero")
      yield* TestClock.adjust("1 minute")

      assert.strictEqual((yield* store.usage).entries, 2)
    })
  )

  it.effect("is read again for its original, which is held only as long as the budget pays for it", () =>
    Effect.gen(function* () {
      const { origin, originals, texts } = yield* failing
      const image = Buffer.from("other bytes")
      texts.set("bottle", recordOf(image))
      const stored = Header.describe(ImageKeys.master("bottle"), Buffer.from("a master"), {
        contentType: "image/webp",
        generation: 1,
        createdAt: 0,
        attributes: ImageAttributes.encode(yield* engine.normalise(), image.byteLength)
      })
      const sighting = yield* Effect.scoped(origin.read(ImageKeys.master("bottle")))
      if (sighting._tag !== "Holding" || sighting.release === undefined) return assert.fail(sighting._tag)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(sighting.make)), "the image is not held any more")

      yield* Effect.ignore(sighting.release(stored))

      const original = yield* originals.get(ImageKeys.original("bottle", stored.digest))

      assert.isTrue(original._tag === "Found" && image.equals(yield* Body.toBytes(original.blob.body)))
    })
  )

  it.effect("and that was rewritten is held until its master is made, and no longer", () =>
    Effect.gen(function* () {
      const { origin, texts } = yield* failing
      yield* TestClock.adjust("1 minute")
      const key = ImageKeys.master("bottle")
      texts.set("bottle", recordOf(Buffer.from("bytes")))
      yield* Effect.gen(function* () {
        const sighting = yield* origin.read(key)
        if (sighting._tag !== "Holding" || sighting.release === undefined) return assert.fail(sighting._tag)
        const { attributes, ...draft } = yield* sighting.make
        const header = { ...draft, generation: 1, createdAt: 0, attributes: attributes ?? {} }
        texts.set("bottle", recordOf(Buffer.from("other bytes")))

        const released = yield* sighting.release(Header.describe(key, Buffer.from("a master"), header))

        if (released._tag !== "Changed") return assert.fail(released._tag)
        yield* released.holding.make
        assert.isTrue(Exit.isFailure(yield* Effect.exit(released.holding.make)), "the image is not held any more")
      }).pipe(Effect.scoped)
    })
  )
})

describe("old records", () => {
  it.live("wait for their turn where the budget allows one at a time", () =>
    run(
      Effect.gen(function* () {
        const image = yield* png(20)
        const { here, open, texts } = yield* setup(true, 4 * recordOf(image).byteLength)
        const ids = Array.from({ length: 20 }, (_, index) => `hero_${index}`)
        for (const id of ids) texts.set(id, recordOf(image))
        yield* open

        const answers = yield* Effect.forEach(ids, (id) => here.master(id), { concurrency: "unbounded" })

        assert.deepStrictEqual([...new Set(answers.map(({ _tag }) => _tag))], ["Found"])
      })
    )
  )

  it.effect("are let go of by a store that takes longer than Redis may", () =>
    Effect.gen(function* () {
      const { records, open, texts } = heldRecords()
      const image = Buffer.from("an image, as far as the engine knows")
      const inner = yield* MemoryTier.make({ name: "store", maxBytes: 1_000_000 })
      const store: Tier = {
        ...inner,
        peek: undefined,
        capabilities: { ...inner.capabilities, persistent: true, durable: true },
        put: (blob, options) => Effect.andThen(Effect.sleep("4 seconds"), inner.put(blob, options))
      }
      const originals = yield* Chain.make({ name: "originals", caches: [], store: { tier: store } })
      const origin = LegacyOrigin.make({
        records: { ...records, compact: (...all) => Effect.delay(records.compact(...all), "4 seconds") },
        engine,
        originals,
        budget: new RequestBody.Budget(1_000_000),
        maxRecordBytes: 100_000
      })
      const chain = yield* Chain.make({ name: "masters", caches: [], store: { tier: store }, origin })
      texts.set("hero", recordOf(image))
      yield* open

      yield* chain.get(ImageKeys.master("hero"))
      yield* TestClock.adjust("1 minute")

      assert.include(texts.get("hero")?.toString(), `"cached": true`)
    })
  )

  it.effect("are not waited for longer than Redis may take", () =>
    Effect.gen(function* () {
      const { records } = heldRecords()
      const origin = LegacyOrigin.make({
        records: { ...records, size: () => Effect.never },
        engine: { normalise: () => Effect.never },
        originals: undefined,
        budget: new RequestBody.Budget(1_000_000),
        maxRecordBytes: 100_000
      })
      const read = yield* Effect.forkChild(Effect.flip(origin.read(ImageKeys.master("hero"))), {
        startImmediately: true
      })
      yield* TestClock.adjust("5 seconds")

      assert.strictEqual((yield* Fiber.join(read)).reason._tag, "TimedOut")
    })
  )

  /** Asks an origin, whose engine fails so, to make the image of a record; `counted`: records that are no image. */
  const failing = Effect.fnUntraced(function* (failure: ImageError.ImageError, budgetBytes = 1_000_000) {
    const { records, texts } = heldRecords()
    const self = { counted: 0 }
    const origin = LegacyOrigin.make({
      records: { ...records, countNoImage: Effect.sync(() => void self.counted++) },
      engine: { normalise: () => Effect.fail(failure) },
      originals: undefined,
      budget: new RequestBody.Budget(budgetBytes),
      maxRecordBytes: 100_000
    })
    texts.set("hero", recordOf(Buffer.from("bytes")))
    const sighting = yield* origin.read(ImageKeys.master("hero"))
    const error = sighting._tag === "Holding" ? yield* Effect.flip(sighting.make) : undefined
    return { sighting, error, counted: self.counted }
  }, Effect.scoped)

  it.effect("that are no images are counted, and cannot be used", () =>
    Effect.gen(function* () {
      const { counted, error } = yield* failing(ImageError.of(new ImageError.Undecodable({ detail: "no image" })))

      assert.deepStrictEqual([error?._tag, counted], ["UnusableRecord", 1])
    })
  )

  it.effect("are no worse for an engine that is busy", () =>
    Effect.gen(function* () {
      const { counted, error } = yield* failing(ImageError.of(new ImageError.Busy({ queued: 1 })))

      assert.deepStrictEqual([error?._tag, counted], ["ImageError", 0])
    })
  )

  it.effect("are not read, and the origin is busy, if their turn does not come in time", () =>
    Effect.gen(function* () {
      const busy = ImageError.of(new ImageError.Busy({ queued: 1 }))
      const asked = yield* Effect.forkChild(failing(busy, 10), { startImmediately: true })
      yield* TestClock.adjust("20 seconds")

      assert.deepStrictEqual((yield* Fiber.join(asked)).sighting, { _tag: "Skipped", why: "busy" })
    })
  )
})

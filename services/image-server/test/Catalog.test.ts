import { assert, describe, it } from "@effect/vitest"
import * as Header from "@terrace/core/Header"
import { TierError, Unavailable } from "@terrace/core/TierError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import * as Catalog from "../src/Catalog.ts"
import * as ImageKeys from "../src/ImageKeys.ts"

const header = (id: string, generation: number): Header.Header =>
  Header.describe(ImageKeys.master(id), Buffer.from(`image ${generation}`), {
    contentType: "image/webp",
    generation,
    createdAt: 0
  })

const down = new TierError({ tier: "catalog", operation: "put", reason: new Unavailable({ cause: new Error("down") }) })

/** A catalog over records and masters in maps, which a test can break and hold up. */
const setup = Effect.gen(function* () {
  const self = {
    masters: new Map<string, Header.Header>(),
    records: new Map<string, number>(),
    isDown: false,
    isHung: false,
    /** Whose record cannot be written, for example since a node of a cluster is down. */
    refused: new Set<string>(),
    tries: 0
  }
  const answering = <A>(id: string, answer: () => A): Effect.Effect<A, TierError> =>
    Effect.suspend(() => {
      self.tries += 1
      if (self.isHung) return Effect.never
      return self.isDown || self.refused.has(id) ? Effect.fail(down) : Effect.sync(answer)
    })
  const catalog = yield* Catalog.make({
    records: {
      write: ({ generation, key }) => answering(key.group, () => void self.records.set(key.group, generation)),
      remove: (id) => answering(id, () => self.records.delete(id)),
      elsewhere: (id) => answering(id, () => (self.records.has(id) ? `https://cdn.example.com/${id}` : undefined))
    },
    current: (id) => Effect.sync(() => self.masters.get(id)),
    alone: (_, effect) => effect
  })
  const put = (id: string, generation: number) => {
    self.masters.set(id, header(id, generation))
    return catalog.record(header(id, generation))
  }
  return Object.assign(self, { catalog, put })
})

describe("Catalog", () => {
  it.effect("writes the record of a master at once", () =>
    Effect.gen(function* () {
      const { catalog, put, records } = yield* setup
      assert.strictEqual(yield* put("hero", 1), "written")
      assert.deepStrictEqual([records.get("hero"), catalog.pending()], [1, 0])
    })
  )

  it.effect(
    "writes a record that could not be written as soon as that is possible, from the master that is there then",
    () =>
      Effect.gen(function* () {
        const self = yield* setup
        self.isDown = true
        assert.strictEqual(yield* self.put("hero", 1), "later")
        assert.strictEqual(yield* self.put("bottle", 2), "later")
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual([self.records.size, self.catalog.pending()], [0, 2])

        self.masters.set("hero", header("hero", 3))
        self.isDown = false
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(Object.fromEntries(self.records), { hero: 3, bottle: 2 })
        assert.strictEqual(self.catalog.pending(), 0)
        self.isDown = true
        yield* self.put("hero", 4)
        self.isDown = false
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(self.records.get("hero"), 4)
      })
  )

  it.effect("tries again less and less often: a minute apart at most, and not at all when nothing is left", () =>
    Effect.gen(function* () {
      const self = yield* setup
      self.isDown = true
      yield* self.put("hero", 1)
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(self.tries, 70)
      assert.isAtLeast(self.tries, 60)
      self.isDown = false
      yield* TestClock.adjust("1 minute")
      const { tries } = self
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(self.tries, tries)
    })
  )

  it.effect("writes all other records where one cannot be written", () =>
    Effect.gen(function* () {
      const self = yield* setup
      self.isDown = true
      yield* self.put("hero", 1)
      yield* self.put("bottle", 2)
      self.refused.add("hero")
      self.isDown = false
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual([Object.fromEntries(self.records), self.catalog.pending()], [{ bottle: 2 }, 1])
      self.refused.clear()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([Object.fromEntries(self.records), self.catalog.pending()], [{ bottle: 2, hero: 1 }, 0])
    })
  )

  it.effect("writes no record of an image that is gone by then", () =>
    Effect.gen(function* () {
      const self = yield* setup
      self.isDown = true
      yield* self.put("hero", 1)
      self.masters.delete("hero")
      self.isDown = false
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([self.records.size, self.catalog.pending()], [0, 0])
    })
  )

  it.effect("holds an upload up for no more than a second", () =>
    Effect.gen(function* () {
      const self = yield* setup
      self.isHung = true
      const upload = yield* Effect.forkChild(self.put("hero", 1), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(upload), "later")
    })
  )

  it.effect("forgets a record only if that is certain; a removal that gets no answer fails after five seconds", () =>
    Effect.gen(function* () {
      const self = yield* setup
      yield* self.put("hero", 1)
      assert.isTrue(yield* self.catalog.forget("hero"))
      assert.isFalse(yield* self.catalog.forget("hero"))
      self.isDown = true
      assert.strictEqual((yield* Effect.flip(self.catalog.forget("hero"))).reason._tag, "Unavailable")
      self.isDown = false
      self.isHung = true
      const removal = yield* Effect.forkChild(Effect.flip(self.catalog.forget("hero")), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(removal)).reason._tag, "TimedOut")
    })
  )

  it.effect("tells where a record says that an image is, and fails within a second if that is not certain", () =>
    Effect.gen(function* () {
      const self = yield* setup
      yield* self.put("hero", 1)
      assert.strictEqual(yield* self.catalog.elsewhere("hero"), "https://cdn.example.com/hero")
      assert.isUndefined(yield* self.catalog.elsewhere("bottle"))
      self.isDown = true
      assert.strictEqual((yield* Effect.flip(self.catalog.elsewhere("hero"))).reason._tag, "Unavailable")
      self.isDown = false
      self.isHung = true
      const asked = yield* Effect.forkChild(Effect.flip(self.catalog.elsewhere("hero")), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(asked)).reason._tag, "TimedOut")
    })
  )

  it.effect("owes no record any more of what it has forgotten", () =>
    Effect.gen(function* () {
      const self = yield* setup
      self.isDown = true
      yield* self.put("hero", 1)
      assert.strictEqual(self.catalog.pending(), 1)
      self.isDown = false

      yield* self.catalog.forget("hero")

      assert.strictEqual(self.catalog.pending(), 0)
    })
  )

  it.effect("restores the record of an image that is still there, and makes none of one that is not", () =>
    Effect.gen(function* () {
      const self = yield* setup
      for (const id of ["hero", "bottle"]) {
        yield* self.put(id, 1)
        yield* self.catalog.forget(id)
      }
      self.masters.delete("bottle")
      yield* self.catalog.restore("hero")
      yield* self.catalog.restore("bottle")
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual([...self.records.keys()], ["hero"])
      assert.strictEqual(self.catalog.pending(), 0)
    })
  )

  it.effect("owes ten thousand records at most", () =>
    Effect.gen(function* () {
      const self = yield* setup
      self.isDown = true
      yield* Effect.forEach(
        Array.from({ length: 10_001 }, (_, index) => `hero_${index}`),
        (id) => self.put(id, 1),
        {
          discard: true
        }
      )

      assert.strictEqual(self.catalog.pending(), 10_000)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("writes no record behind a removal: it repairs an image while no other write of it runs", () =>
    Effect.gen(function* () {
      const records = new Set<string>()
      let isDown = true
      const reached = Deferred.makeUnsafe<void>()
      const open = Deferred.makeUnsafe<void>()
      const catalog = yield* Catalog.make({
        records: {
          write: ({ key }) =>
            Effect.suspend(() => (isDown ? Effect.fail(down) : Effect.sync(() => records.add(key.group)))),
          remove: (id) => Effect.sync(() => records.delete(id)),
          elsewhere: () => Effect.undefined
        },
        current: () => Effect.succeed(header("hero", 1)),
        alone: (_, effect) =>
          Effect.andThen(Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(open)), effect)
      })
      yield* catalog.record(header("hero", 1))
      isDown = false
      yield* TestClock.adjust("1 second")
      yield* Deferred.await(reached)
      assert.isFalse(records.has("hero"), "it waits for the lock")
      yield* Deferred.succeed(open, undefined)
      yield* TestClock.adjust("1 second")
      assert.isTrue(records.has("hero"))
    })
  )
})

/** Bugs that show when storage is opened again. */
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type Mutant, newest, ofStorage, overwrite } from "./Mutant.ts"
import type { StorageTier } from "./StorageTier.ts"

/** Does something to what is stored whenever it is opened. */
const whenOpened = (
  { open, stored }: StorageTier,
  act: (stored: Tier.Tier, opening: number) => Effect.Effect<unknown, TierError>
): StorageTier => ({ stored, open: (opening) => Effect.andThen(act(stored, opening), open(opening)) })

/** Puts every blob anew with another header. */
const rewritten = (self: StorageTier, change: (header: Header.Header, now: number) => Header.Header): StorageTier =>
  whenOpened(
    self,
    Effect.fnUntraced(function* (stored, opening) {
      const now = yield* Clock.currentTimeMillis
      const entries = opening === 0 ? [] : yield* Stream.runCollect(stored.scan())
      for (const { key } of entries) {
        const read = yield* stored.get(key)
        if (read._tag !== "Hit") continue
        yield* stored.remove(key, newest)
        yield* stored.put({ header: change(read.blob.header, now), body: read.blob.body })
      }
    })
  )

export const storage: ReadonlyArray<Mutant> = [
  ofStorage(
    "attributes are not stored",
    (self) => rewritten(self, (header) => ({ ...header, attributes: {} })),
    "reopening - finds every blob with all of its header, listed and counted as before"
  ),

  ofStorage(
    "the count begins anew with every opening",
    ({ open, stored }) => {
      let before = 0
      return {
        stored,
        open: (opening) =>
          Effect.gen(function* () {
            before = (yield* stored.usage).bytes
            const tier = yield* open(opening)
            return { ...tier, usage: Effect.map(stored.usage, (usage) => ({ ...usage, bytes: usage.bytes - before })) }
          })
      }
    },
    "reopening - finds every blob with all of its header, listed and counted as before"
  ),

  ofStorage(
    "what was removed comes back",
    ({ open, stored }) => {
      const log: Array<Blob> = []
      return {
        stored,
        open: (opening) =>
          Effect.gen(function* () {
            for (const blob of log) yield* stored.put(blob)
            const tier = yield* open(opening)
            return {
              ...tier,
              put: (blob, options) => {
                log.push(blob)
                return tier.put(blob, options)
              }
            }
          })
      }
    },
    "reopening - finds nothing of what was removed, and the newest of what was replaced"
  ),

  ofStorage(
    "a tier that was closed finds nothing",
    (self) => ({ ...self, closedRead: Tier.miss }),
    "reopening - a tier that was closed answers no Miss and stores nothing",
    "read after closing"
  ),

  ofStorage(
    "generations are not stored",
    (self) => rewritten(self, (header) => ({ ...header, generation: 1 })),
    "reopening - knows which generation is there"
  ),

  ofStorage(
    "lifetimes begin anew with every opening",
    (self) =>
      rewritten(self, (header, now) => ({
        ...header,
        expiresAt: header.expiresAt === undefined ? undefined : now + header.expiresAt - header.createdAt
      })),
    "reopening - keeps times absolute: what expired meanwhile is absent, what expires later is there until then"
  ),

  ofStorage(
    "the last write is lost",
    ({ open, stored }) => {
      let last: Blob | undefined
      return {
        stored,
        open: (opening) =>
          Effect.gen(function* () {
            if (last !== undefined) yield* stored.remove(last.header.key, newest)
            last = undefined
            const tier = yield* open(opening)
            return {
              ...tier,
              put: (blob, options) => {
                last = blob
                return tier.put(blob, options)
              }
            }
          })
      }
    },
    "reopening - after a put of a new key that was interrupted at any step, finds it whole or nothing"
  ),

  ofStorage(
    "a put is acknowledged before it is stored",
    ({ open, stored }) => {
      let opening = -1
      return {
        stored,
        open: (number) =>
          Effect.map(open(number), (tier) => {
            opening = number
            return {
              ...tier,
              put: (blob, options) =>
                Effect.gen(function* () {
                  const head = yield* tier.head(blob.header.key)
                  const refusal = Tier.refusal(
                    blob.header,
                    head._tag === "Hit" ? head.header : undefined,
                    options?.expected
                  )
                  if (refusal !== undefined) return refusal
                  const later = Effect.suspend(() => (opening === number ? stored.put(blob) : Effect.void))
                  yield* Effect.forkDetach(Effect.andThen(Effect.yieldNow, later))
                  return Tier.stored
                })
            }
          })
      }
    },
    "reopening - while a put of a new key is at any step, finds it whole or nothing"
  ),

  ofStorage(
    "an overwrite that was interrupted is undone by removing the file",
    ({ open, stored }) => {
      const journal = new Set<Blob>()
      return {
        stored,
        open: (opening) =>
          Effect.gen(function* () {
            for (const { header } of journal) yield* stored.remove(header.key, newest)
            journal.clear()
            const tier = yield* open(opening)
            return {
              ...tier,
              put: (blob, options) =>
                Effect.gen(function* () {
                  journal.add(blob)
                  const write = yield* tier.put(blob, options)
                  journal.delete(blob)
                  return write
                })
            }
          })
      }
    },
    "reopening - after a put over an old blob that was interrupted at any step, finds one of them whole"
  ),

  ofStorage(
    "closing cuts a put that is under way",
    ({ open, stored }) => {
      const journal = new Set<Blob>()
      const halve = Effect.fnUntraced(function* ({ body, header }: Blob) {
        const bytes = (yield* Body.toBytes(body)).slice(0, header.size / 2)
        yield* stored.remove(header.key, newest)
        yield* stored.put({ header: Header.describe(header.key, bytes, header), body: Body.inline(bytes) })
      })
      return {
        stored,
        open: (opening) =>
          Effect.gen(function* () {
            for (const blob of journal) yield* halve(blob)
            journal.clear()
            const tier = yield* open(opening)
            return {
              ...tier,
              put: (blob, options) =>
                Effect.gen(function* () {
                  journal.add(blob)
                  const write = yield* tier.put(blob, options)
                  journal.delete(blob)
                  return write
                })
            }
          })
      }
    },
    "reopening - while a put over an old blob is at any step, finds one of them whole"
  ),

  ofStorage(
    "newer wins among the writers of one tier, and not among those of the storage",
    ({ open, stored }) => ({
      stored,
      open: (opening) =>
        Effect.map(open(opening), (tier) => {
          const lock = Semaphore.makeUnsafe(1)
          const put: Tier.Tier["put"] = Effect.fnUntraced(function* (blob, options) {
            const head = yield* tier.head(blob.header.key)
            const refusal = Tier.refusal(blob.header, head._tag === "Hit" ? head.header : undefined, options?.expected)
            yield* Effect.yieldNow
            return refusal ?? (yield* overwrite(tier)(blob))
          })
          return { ...tier, put: (blob, options) => lock.withPermits(1)(put(blob, options)) }
        })
    }),
    "writers of one generation with different bytes - one is Stored, the others are Superseded, through two tiers of one storage"
  ),

  ofStorage(
    "each tier keeps copies that the others do not drop",
    ({ open, stored }) => ({
      stored,
      open: (opening) =>
        Effect.map(open(opening), (tier) => {
          const copies = new Map<string, Tier.Read>()
          return {
            ...tier,
            get: (key) =>
              Effect.map(tier.get(key), (read) => {
                const copy = copies.get(key.text) ?? read
                if (copy._tag === "Hit") copies.set(key.text, copy)
                return copy
              })
          }
        })
    }),
    "two tiers of one storage - each sees at once what the other has put, replaced and removed"
  )
]

/**
 * Tiers with one bug each, and a case of the suite that must notice it.
 */
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export interface Mutant {
  /** The bug. */
  readonly name: string
  readonly mutate: (tier: Tier.Tier) => Tier.Tier
  /** Name of a case that fails because of it. */
  readonly caughtBy: string
}

const newest = Number.MAX_SAFE_INTEGER

/** Stores whatever is there. */
const overwrite = (tier: Tier.Tier, blob: Blob): ReturnType<Tier.Tier["put"]> =>
  Effect.andThen(tier.remove(blob.header.key, newest), tier.put(blob))

const withHeader = (tier: Tier.Tier, change: (header: Header.Header) => Header.Header): Tier.Tier => ({
  ...tier,
  put: (blob, options) => tier.put({ header: change(blob.header), body: blob.body }, options)
})

const withKey = (tier: Tier.Tier, change: (key: Key.Key) => Key.Key): Tier.Tier => ({
  ...withHeader(tier, (header) => ({ ...header, key: change(header.key) })),
  get: (key) => tier.get(change(key)),
  head: (key) => tier.head(change(key)),
  remove: (key, generation) => tier.remove(change(key), generation)
})

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "the last write wins, however old",
    mutate: (tier) => ({ ...tier, put: (blob) => overwrite(tier, blob) }),
    caughtBy: "put - answers Superseded to an older generation and changes nothing"
  },
  {
    name: "the same generation with other bytes replaces",
    mutate: (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.put(blob, options), (write) =>
          write._tag === "Superseded" && write.current === blob.header.generation
            ? overwrite(tier, blob)
            : Effect.succeed(write)
        )
    }),
    caughtBy: "put - answers Superseded to the same generation with another digest and changes nothing"
  },
  {
    name: "a retry is Superseded",
    mutate: (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.head(blob.header.key), (head) =>
          head._tag === "Hit" && head.header.generation === blob.header.generation
            ? Effect.succeed<Tier.Write>({ _tag: "Superseded", current: head.header.generation })
            : tier.put(blob, options)
        )
    }),
    caughtBy: "put - answers Stored to a retry: the same generation with the same digest"
  },
  {
    name: "expected is ignored",
    mutate: (tier) => ({ ...tier, put: (blob) => tier.put(blob) }),
    caughtBy: "put - with expected `absent`, stores if nothing is there, else answers Conflict and changes nothing"
  },
  {
    name: "generations are compared as text",
    mutate: (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.head(blob.header.key), (head) =>
          head._tag === "Hit" && String(head.header.generation) > String(blob.header.generation)
            ? Effect.succeed<Tier.Write>({ _tag: "Superseded", current: head.header.generation })
            : tier.put(blob, options)
        )
    }),
    caughtBy: "put - compares generations as numbers, up to the largest safe integer"
  },
  {
    name: "newer wins is check, then act",
    mutate: (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const head = yield* tier.head(blob.header.key)
        const refusal = Tier.refusal(blob.header, head._tag === "Hit" ? head.header : undefined, options?.expected)
        yield* Effect.yieldNow
        return refusal ?? (yield* overwrite(tier, blob))
      })
    }),
    caughtBy: "writers of one generation with different bytes - one is Stored, the others are Superseded"
  },
  {
    name: "an overwrite removes first",
    mutate: (tier) => ({
      ...tier,
      put: (blob) =>
        Effect.andThen(Effect.andThen(tier.remove(blob.header.key, newest), Effect.yieldNow), tier.put(blob))
    }),
    caughtBy: "one writer and eight readers - every read is one whole blob, and none goes back in time"
  },
  {
    name: "bytes are not verified",
    mutate: (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        return yield* tier.put({ ...blob, header: Header.describe(blob.header.key, bytes, blob.header) }, options)
      })
    }),
    caughtBy: "put - refuses bytes that are not those of the header: one bit is wrong; the old blob stays"
  },
  {
    name: "only checksums are verified",
    mutate: (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        const header = Header.matches(blob.header, bytes)
          ? Header.describe(blob.header.key, bytes, blob.header)
          : blob.header
        return yield* tier.put({ ...blob, header }, options)
      })
    }),
    caughtBy:
      "put - refuses a header whose digest is not that of the bytes though its checksums are; the old blob stays"
  },
  {
    name: "attributes pass through Latin-1",
    mutate: (tier) =>
      withHeader(tier, (header) => ({
        ...header,
        attributes: Object.fromEntries(
          Object.entries(header.attributes).map(([name, value]) => [
            name,
            Buffer.from(value, "latin1").toString("latin1")
          ])
        )
      })),
    caughtBy: "get - answers every field of the header and the bytes as they were put"
  },
  {
    name: "head answers what get does not",
    mutate: (tier) => ({
      ...tier,
      head: (key) =>
        Effect.map(tier.head(key), (head) =>
          head._tag === "Hit" ? Tier.hitHeader({ ...head.header, freshUntil: undefined }) : head
        )
    }),
    caughtBy: "get - answers every field of the header and the bytes as they were put"
  },
  {
    name: "remove ignores the generation",
    mutate: (tier) => ({ ...tier, remove: (key) => tier.remove(key, newest) }),
    caughtBy: "remove - answers Superseded to a generation older than what is there, which stays"
  },
  {
    name: "remove of nothing is Removed",
    mutate: (tier) => ({
      ...tier,
      remove: (key, generation) =>
        Effect.map(tier.remove(key, generation), (removal) => (removal._tag === "Absent" ? Tier.removed : removal))
    }),
    caughtBy: "remove - answers Absent if there is nothing, before and after"
  },
  {
    name: "removeGroup goes by the beginning of the name",
    mutate: (tier) => ({
      ...tier,
      removeGroup: Effect.fnUntraced(function* (group, generation) {
        const entries = yield* Stream.runCollect(tier.scan({ groupPrefix: group }))
        for (const entry of entries) yield* tier.remove(entry.key, generation)
        return { _tag: "Removed", removed: entries.length, superseded: 0 } as const
      })
    }),
    caughtBy: "removeGroup - leaves groups whose names only begin alike"
  },
  {
    name: "removeGroup ignores the generation",
    mutate: (tier) => ({ ...tier, removeGroup: (group) => tier.removeGroup(group, newest) }),
    caughtBy: "removeGroup - keeps members newer than the generation and says how new they are"
  },
  {
    name: "scan ignores its cursor",
    mutate: (tier) => ({ ...tier, scan: (options) => tier.scan({ groupPrefix: options?.groupPrefix }) }),
    caughtBy: "scan - resumes after a cursor, losing nothing and ending"
  },
  {
    name: "scan loses an entry where a page ends",
    mutate: (tier) => ({
      ...tier,
      scan: (options) => (options?.after === undefined ? tier.scan(options) : Stream.drop(tier.scan(options), 1))
    }),
    caughtBy: "scan - resumes after a cursor, losing nothing and ending"
  },
  {
    name: "scan counts what it stores, not the body",
    mutate: (tier) => ({
      ...tier,
      scan: (options) => Stream.map(tier.scan(options), (entry) => ({ ...entry, size: entry.size + 1_024 }))
    }),
    caughtBy: "scan - lists every key with the size of its body"
  },
  {
    name: "scan answers nothing where it cannot list",
    mutate: (tier) => ({
      ...tier,
      capabilities: { ...tier.capabilities, list: false },
      scan: () => Stream.empty
    }),
    caughtBy: "scan - answers Unsupported where list is not declared"
  },
  {
    name: "usage never goes down",
    mutate: (tier) => {
      let most = 0
      return {
        ...tier,
        usage: Effect.map(tier.usage, (usage) => {
          most = Math.max(most, usage.bytes)
          return { ...usage, bytes: most }
        })
      }
    },
    caughtBy: "usage - counts bytes and entries up and down, where it is exact"
  },
  {
    name: "keys lose their case",
    mutate: (tier) => withKey(tier, (key) => Key.makeUnsafe(key.group.toLowerCase(), key.name)),
    caughtBy: "keys - of groups that differ in case only are two"
  },
  {
    name: "keys are cut",
    mutate: (tier) => withKey(tier, (key) => Key.makeUnsafe(key.group.slice(0, 190), key.name)),
    caughtBy: "keys - of the greatest lengths are told apart by their last character"
  },
  {
    name: "an empty body reads as absent",
    mutate: (tier) => ({
      ...tier,
      get: (key) =>
        Effect.map(tier.get(key), (read) => (read._tag === "Hit" && Body.size(read.blob.body) === 0 ? Tier.miss : read))
    }),
    caughtBy: "put - keeps an empty body"
  },
  {
    name: "an expired blob is found again",
    mutate: (tier) => {
      const expiring = new Map<string, Blob>()
      return {
        ...tier,
        put: (blob, options) => {
          if (blob.header.expiresAt !== undefined) expiring.set(blob.header.key.text, blob)
          return tier.put(blob, options)
        },
        get: (key) =>
          Effect.map(tier.get(key), (read) => {
            const blob = expiring.get(key.text)
            return read._tag === "Miss" && blob !== undefined ? Tier.hit(blob) : read
          })
      }
    },
    caughtBy: "get - answers a blob up to the millisecond before `expiresAt`, and Miss from then on"
  },
  {
    name: "lifetimes pass through a timer of 32 bits",
    mutate: (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const { expiresAt } = blob.header
          const overflows = expiresAt !== undefined && now > 0 && expiresAt - now > 2_147_483_647
          return overflows ? Effect.as(tier.remove(blob.header.key, newest), Tier.stored) : tier.put(blob, options)
        })
    }),
    caughtBy: "get - keeps lifetimes above 25 days, where timers of 32 bits overflow"
  }
]

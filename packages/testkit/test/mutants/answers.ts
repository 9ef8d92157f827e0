/** Wrong answers to plain calls. */
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Mutant, newest, ofMemory, overwrite, withHeader, withKey } from "./Mutant.ts"

export const answers: ReadonlyArray<Mutant> = [
  ofMemory(
    "peek sees nothing",
    (tier) => ({ ...tier, peek: () => Tier.miss }),
    "get - answers every field of the header and the bytes as they were put"
  ),

  ofMemory(
    "the last write wins, however old",
    (tier) => ({ ...tier, put: (blob) => overwrite(tier)(blob) }),
    "put - answers Superseded to an older generation and changes nothing"
  ),

  ofMemory(
    "the same generation with other bytes replaces",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.put(blob, options), (write) =>
          write._tag === "Superseded" && write.current === blob.header.generation
            ? overwrite(tier)(blob)
            : Effect.succeed(write)
        )
    }),
    "put - answers Superseded to the same generation with another digest and changes nothing"
  ),

  ofMemory(
    "a retry is Superseded",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.head(blob.header.key), (head) =>
          head._tag === "Hit" && head.header.generation === blob.header.generation
            ? Effect.succeed<Tier.Write>({ _tag: "Superseded", current: head.header.generation })
            : tier.put(blob, options)
        )
    }),
    "put - answers Stored to a retry: the same generation with the same digest"
  ),

  ofMemory(
    "expected is ignored",
    (tier) => ({ ...tier, put: (blob) => tier.put(blob) }),
    "put - with expected `absent`, stores if nothing is there, else answers Conflict and changes nothing"
  ),

  ofMemory(
    "generations are compared as text",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(tier.head(blob.header.key), (head) =>
          head._tag === "Hit" && String(head.header.generation) > String(blob.header.generation)
            ? Effect.succeed<Tier.Write>({ _tag: "Superseded", current: head.header.generation })
            : tier.put(blob, options)
        )
    }),
    "put - compares generations as numbers, up to the largest safe integer"
  ),

  ofMemory(
    "newer wins is check, then act",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const head = yield* tier.head(blob.header.key)
        const refusal = Tier.refusal(blob.header, head._tag === "Hit" ? head.header : undefined, options?.expected)
        yield* Effect.yieldNow
        return refusal ?? (yield* overwrite(tier)(blob))
      })
    }),
    "writers of one generation with different bytes - one is Stored, the others are Superseded"
  ),

  ofMemory(
    "an overwrite removes first",
    (tier) => ({
      ...tier,
      put: (blob) =>
        Effect.andThen(Effect.andThen(tier.remove(blob.header.key, newest), Effect.yieldNow), tier.put(blob))
    }),
    "one writer and eight readers - every read is one whole blob, and none goes back in time"
  ),

  ofMemory(
    "bytes are not verified",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        return yield* tier.put({ ...blob, header: Header.describe(blob.header.key, bytes, blob.header) }, options)
      })
    }),
    "put - refuses bytes that are not those of the header: one bit is wrong; the old blob stays"
  ),

  ofMemory(
    "only checksums are verified",
    (tier) => ({
      ...tier,
      put: Effect.fnUntraced(function* (blob, options) {
        const bytes = yield* Body.toBytes(blob.body)
        const header = Header.matches(blob.header, bytes)
          ? Header.describe(blob.header.key, bytes, blob.header)
          : blob.header
        return yield* tier.put({ ...blob, header }, options)
      })
    }),
    "put - refuses a header whose digest is not that of the bytes though its checksums are; the old blob stays"
  ),

  ofMemory(
    "attributes pass through Latin-1",
    (tier) =>
      withHeader(tier, (header) => ({
        ...header,
        attributes: Object.fromEntries(
          Object.entries(header.attributes).map(([name, value]) => [
            name,
            Buffer.from(value, "latin1").toString("latin1")
          ])
        )
      })),
    "get - answers every field of the header and the bytes as they were put"
  ),

  ofMemory(
    "head answers what get does not",
    (tier) => ({
      ...tier,
      head: (key) =>
        Effect.map(tier.head(key), (head) =>
          head._tag === "Hit" ? Tier.hitHeader({ ...head.header, freshUntil: undefined }) : head
        )
    }),
    "get - answers every field of the header and the bytes as they were put"
  ),

  ofMemory(
    "remove ignores the generation",
    (tier) => ({ ...tier, remove: (key) => tier.remove(key, newest) }),
    "remove - answers Superseded to a generation older than what is there, which stays"
  ),

  ofMemory(
    "remove of nothing is Removed",
    (tier) => ({
      ...tier,
      remove: (key, generation) =>
        Effect.map(tier.remove(key, generation), (removal) => (removal._tag === "Absent" ? Tier.removed : removal))
    }),
    "remove - answers Absent if there is nothing, before and after"
  ),

  ofMemory(
    "removeGroup goes by the beginning of the name",
    (tier) => ({
      ...tier,
      removeGroup: Effect.fnUntraced(function* (group, generation) {
        const entries = yield* Stream.runCollect(tier.scan({ groupPrefix: group }))
        for (const entry of entries) yield* tier.remove(entry.key, generation)
        return { _tag: "Removed", removed: entries.length, superseded: 0 } as const
      })
    }),
    "removeGroup - leaves groups whose names only begin alike"
  ),

  ofMemory(
    "removeGroup ignores the generation",
    (tier) => ({ ...tier, removeGroup: (group) => tier.removeGroup(group, newest) }),
    "removeGroup - keeps members newer than the generation and says how new they are"
  ),

  ofMemory(
    "scan ignores its cursor",
    (tier) => ({ ...tier, scan: (options) => tier.scan({ groupPrefix: options?.groupPrefix }) }),
    "scan - resumes after a cursor, losing nothing and ending"
  ),

  ofMemory(
    "scan loses an entry where a page ends",
    (tier) => ({
      ...tier,
      scan: (options) => (options?.after === undefined ? tier.scan(options) : Stream.drop(tier.scan(options), 1))
    }),
    "scan - resumes after a cursor, losing nothing and ending"
  ),

  ofMemory(
    "scan counts what it stores, not the body",
    (tier) => ({
      ...tier,
      scan: (options) => Stream.map(tier.scan(options), (entry) => ({ ...entry, size: entry.size + 1_024 }))
    }),
    "scan - lists every key with the size of its body"
  ),

  ofMemory(
    "scan answers nothing where it cannot list",
    (tier) => ({
      ...tier,
      capabilities: { ...tier.capabilities, list: false },
      scan: () => Stream.empty
    }),
    "scan - answers Unsupported where list is not declared"
  ),

  ofMemory(
    "usage never goes down",
    (tier) => {
      let most = 0
      return {
        ...tier,
        usage: Effect.map(tier.usage, (usage) => {
          most = Math.max(most, usage.bytes)
          return { ...usage, bytes: most }
        })
      }
    },
    "usage - counts bytes and entries up and down, where it is exact"
  ),

  ofMemory(
    "keys lose their case",
    (tier) => withKey(tier, (key) => Key.makeUnsafe(key.group.toLowerCase(), key.name)),
    "keys - of groups that differ in case only are two"
  ),

  ofMemory(
    "keys are cut",
    (tier) => withKey(tier, (key) => Key.makeUnsafe(key.group.slice(0, 190), key.name)),
    "keys - of the greatest lengths are told apart by their last character"
  ),

  ofMemory(
    "an empty body reads as absent",
    (tier) => ({
      ...tier,
      get: (key) =>
        Effect.map(tier.get(key), (read) => (read._tag === "Hit" && Body.size(read.blob.body) === 0 ? Tier.miss : read))
    }),
    "put - keeps an empty body"
  ),

  ofMemory(
    "an expired blob is found again",
    (tier) => {
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
    "get - answers a blob up to the millisecond before `expiresAt`, and Miss from then on"
  ),

  ofMemory(
    "lifetimes pass through a timer of 32 bits",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const { expiresAt } = blob.header
          const overflows = expiresAt !== undefined && now > 0 && expiresAt - now > 2_147_483_647
          return overflows ? Effect.as(tier.remove(blob.header.key, newest), Tier.stored) : tier.put(blob, options)
        })
    }),
    "get - keeps lifetimes above 25 days, where timers of 32 bits overflow"
  )
]

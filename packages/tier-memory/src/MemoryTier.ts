/**
 * Storage tier in process memory: a byte budget and least-recently-used eviction.
 *
 * A hit costs two map lookups and relinking one entry; it allocates one effect, starts no fiber, opens no span, and
 * hands out the stored bytes themselves. Bytes are verified against their header once, when they are put: nothing but a
 * bug in this process can change them afterwards.
 */
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import type { Generation } from "@terrace/core/Generation"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { BadCursor, Corrupt, TierError, Unsupported } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Entries, type Entry } from "./internal/Entries.ts"
import { listing } from "./internal/listing.ts"
import { type Limits, limitsOf } from "./internal/limits.ts"
import { unpinned } from "./internal/unpinned.ts"

/** The tier, as a service. */
export class MemoryTier extends Context.Service<MemoryTier, Tier.Tier>()("@terrace/tier-memory/MemoryTier") {}

export interface Options {
  /** Unique in a chain. Default: `memory`. */
  readonly name?: string | undefined
  /** Budget in bytes: payloads, and 2,048 bytes per entry. Never exceeded, not even while a blob is put. */
  readonly maxBytes: number
  /** Most entries. Default: no limit but the budget. */
  readonly maxEntries?: number | undefined
  /** Largest payload in bytes; larger ones are declined. Default: an eighth of `maxBytes`. */
  readonly maxEntryBytes?: number | undefined
}

/** Builds a tier. Dies with a `RangeError` that names the option if one is out of range. */
export const make = (options: Options): Effect.Effect<Tier.Tier> =>
  Effect.sync(() => fromLimits(options.name ?? "memory", limitsOf(options)))

/** Provides `MemoryTier`; see `make`. */
export const layer = (options: Options): Layer.Layer<MemoryTier> => Layer.effect(MemoryTier, make(options))

const fromLimits = (name: string, limits: Limits): Tier.Tier => {
  const entries = new Entries()
  let evicted = 0

  /** The entry of the key; one past its expiry is dropped instead. */
  const find = (key: Key.Key, fiber: Fiber<unknown, unknown>): Entry | undefined => {
    const entry = entries.find(key)
    if (entry?.header.expiresAt === undefined || !isExpired(entry.header, fiber)) return entry
    entries.drop(entry)
    return undefined
  }

  const put = (
    { header, body }: Blob,
    expected: Generation | "absent" | undefined,
    fiber: Fiber<unknown, unknown>
  ): Effect.Effect<Tier.Write, TierError> => {
    if (body._tag === "Streamed") {
      const reason = new Unsupported({ capability: "streaming" })
      return Effect.fail(new TierError({ tier: name, operation: "put", reason }))
    }
    if (body.bytes.byteLength > limits.maxEntryBytes) return tooLarge
    if (isExpired(header, fiber)) return expired
    const present = find(header.key, fiber)
    const refusal = Tier.refusal(header, present?.header, expected)
    if (refusal !== undefined) return Effect.succeed(refusal)
    if (!Header.verifies(header, body.bytes)) {
      const reason = new Corrupt({ detail: `the bytes of ${header.key.text} are not those of its header` })
      return Effect.fail(new TierError({ tier: name, operation: "put", reason }))
    }
    const read = Tier.hit({ header, body: Body.inline(unpinned(body.bytes)) })
    if (present !== undefined) entries.drop(present)
    const charge = limits.entryCharge + header.size
    for (let oldest = entries.oldest(); oldest !== undefined; oldest = entries.oldest()) {
      if (entries.count < limits.maxEntries && entries.bytes + charge <= limits.maxBytes) break
      entries.drop(oldest)
      evicted++
    }
    entries.add({ header, read, readHeader: Tier.hitHeader(header), charge })
    return stored
  }

  const remove = (entry: Entry | undefined, generation: Generation): Tier.Removal => {
    if (entry === undefined) return Tier.absent
    if (entry.header.generation > generation) return { _tag: "Superseded", current: entry.header.generation }
    entries.drop(entry)
    return Tier.removed
  }

  const removeGroup = (group: string, generation: Generation, fiber: Fiber<unknown, unknown>): Tier.GroupRemoval => {
    let removed = 0
    let superseded = 0
    let current: Generation | undefined
    for (const { header } of entries.members(group)) {
      const removal = remove(find(header.key, fiber), generation)
      if (removal._tag === "Removed") removed++
      if (removal._tag !== "Superseded") continue
      superseded++
      current = Math.max(current ?? 0, removal.current)
    }
    return { _tag: "Removed", removed, superseded, current }
  }

  return {
    name,
    capabilities: {
      streaming: false,
      ranges: false,
      atomicPut: "process",
      durable: false,
      persistent: false,
      shared: false,
      list: true,
      nativeExpiry: false,
      maxBytes: limits.maxEntryBytes
    },
    get: (key) =>
      Effect.withFiberSucceed((fiber) => {
        const entry = find(key, fiber)
        if (entry === undefined) return Tier.miss
        entries.touch(entry)
        return entry.read
      }),
    peek: (key) => {
      const entry = entries.find(key)
      if (entry === undefined) return Tier.miss
      entries.touch(entry)
      return entry.read
    },
    head: (key) => Effect.withFiberSucceed((fiber) => find(key, fiber)?.readHeader ?? Tier.miss),
    put: (blob, options) =>
      Effect.matchEffect(Header.encode(blob.header), {
        onFailure: () => tooLarge,
        onSuccess: () => Effect.withFiber((fiber) => put(blob, options?.expected, fiber))
      }),
    remove: (key, generation) => Effect.withFiberSucceed((fiber) => remove(find(key, fiber), generation)),
    removeGroup: (group, generation) => Effect.withFiberSucceed((fiber) => removeGroup(group, generation, fiber)),
    scan: (options) => {
      const cursor = options?.after
      return cursor !== undefined && Key.parse(cursor)._tag === "Failure"
        ? Stream.fail(new TierError({ tier: name, operation: "scan", reason: new BadCursor({ cursor }) }))
        : Stream.unwrap(
            Effect.map(Clock.currentTimeMillis, (millis) => Stream.fromIterable(listing(entries, options, millis)))
          )
    },
    usage: Effect.sync(() => ({ bytes: entries.bytes, entries: entries.count, limit: limits.maxBytes, exact: true })),
    evictions: () => evicted
  }
}

const stored = Effect.succeed(Tier.stored)
const tooLarge = Effect.succeed(Tier.declined("too-large"))
const expired = Effect.succeed(Tier.declined("expired"))

const isExpired = (header: Header.Header, fiber: Fiber<unknown, unknown>): boolean =>
  header.expiresAt !== undefined && Header.isExpired(header, fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())

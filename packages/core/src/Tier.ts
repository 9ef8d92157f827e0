/**
 * Contract that every storage tier honours.
 *
 * A tier keeps blobs under keys. As a cache it may forget them at any time; as a store it is the truth. A miss is an
 * ordinary answer, and so is "cannot say" (`Skipped`) and "would not take" (`Declined`): the error channel carries only
 * trouble that the chain must route around.
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Blob } from "./Blob.ts"
import type { Generation } from "./Generation.ts"
import type { Header } from "./Header.ts"
import * as Key from "./Key.ts"
import { type Operation, TierError, Unsupported } from "./TierError.ts"

/** What a tier may be called: lower-case letters, digits and `-`; the first is a letter. */
export const namePattern: RegExp = /^[a-z][a-z0-9-]*$/

/** What a tier promises, as data: the chain and the contract suite consult it. */
export interface Capabilities {
  /**
   * Delivers large bodies as `Streamed` and takes them so. A tier without it delivers `Inline` bodies only, and answers
   * `Unsupported` to a put of a `Streamed` one.
   */
  readonly streaming: boolean
  /** `Streamed.open` reads no more than the chunks that hold the range. */
  readonly ranges: boolean
  /** Among whom "newer wins" is atomic: all writers of the storage, the writers of this process, or none. */
  readonly atomicPut: "shared" | "process" | "none"
  /** An acknowledged write survives a power failure. */
  readonly durable: boolean
  /** Blobs outlive the process: whoever opens the storage again finds what was acknowledged, and nothing torn. */
  readonly persistent: boolean
  /** Other processes read and write the same blobs. */
  readonly shared: boolean
  /** `scan` lists the blobs. */
  readonly list: boolean
  /** The backend removes expired blobs by itself, soon: nobody need ask for them, nor sweep. */
  readonly nativeExpiry: boolean
  /** Largest body, in bytes; absent: no limit of its own. */
  readonly maxBytes?: number | undefined
}

/** Why a tier cannot say whether it has a blob: its breaker is open, it has too much to do, or it was closed. */
export type SkipReason = "breaker-open" | "busy" | "closed"
/** Why a tier would not take a blob. */
export type DeclineReason = "too-large" | "admission" | "read-only" | "expired"

export type Read =
  | { readonly _tag: "Hit"; readonly blob: Blob }
  | { readonly _tag: "Miss" }
  | { readonly _tag: "Skipped"; readonly why: SkipReason }

export type ReadHeader =
  | { readonly _tag: "Hit"; readonly header: Header }
  | { readonly _tag: "Miss" }
  | { readonly _tag: "Skipped"; readonly why: SkipReason }

export type Write =
  | { readonly _tag: "Stored" }
  | { readonly _tag: "Declined"; readonly why: DeclineReason }
  | { readonly _tag: "Superseded"; readonly current: Generation }
  | { readonly _tag: "Conflict"; readonly current: Generation | "absent" }

export type Removal =
  | { readonly _tag: "Removed" }
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Superseded"; readonly current: Generation }

export interface GroupRemoval {
  readonly _tag: "Removed"
  readonly removed: number
  readonly superseded: number
  readonly current?: Generation | undefined
}

/** Position in a scan; opaque, good for the same tier with the same options. */
export type Cursor = string

export interface Entry {
  readonly key: Key.Key
  /** Bytes of the body. */
  readonly size: number
  readonly cursor: Cursor
}

export interface Usage {
  /** What the blobs take, counted as the tier's budget counts. */
  readonly bytes: number
  readonly entries: number
  /** The budget in bytes; absent: none. */
  readonly limit?: number | undefined
  /** False while the tier is still counting. */
  readonly exact: boolean
}

export interface PutOptions {
  /** Store only if this generation, or nothing, is there now; else `Conflict`. */
  readonly expected?: Generation | "absent" | undefined
}

export interface ScanOptions {
  /** Only groups that begin with this text. */
  readonly groupPrefix?: string | undefined
  /** Only entries after this position. */
  readonly after?: Cursor | undefined
}

export interface Tier {
  /** Unique in a chain; appears in trails, logs, metrics and every `TierError` of the tier. Matches `namePattern`. */
  readonly name: string
  readonly capabilities: Capabilities

  /**
   * Reads a blob.
   *
   * Behavior:
   * - answers `Miss` for a key that was never put, was removed, was forgotten, or whose blob is past `expiresAt`.
   * - answers the blob of the highest generation that was stored, whole, its chunks verified.
   * - a blob that fails verification is set aside, counted in `corrupted`, and reads as `Miss`; the first who finds it may
   *   get `Corrupt` instead, and everyone where it is not set aside. No byte of a damaged chunk leaves, and the key can be
   *   put again, also with the same blob.
   * - once the tier is closed, answers `Skipped` or fails; it never answers `Miss`.
   */
  readonly get: (key: Key.Key) => Effect.Effect<Read, TierError>

  /**
   * Reads at once, without an effect; for tiers in process memory. Absent: not offered.
   *
   * Behavior:
   * - answers what `get` answers, except that a blob past its `expiresAt` may be answered too: who asks looks at the time.
   * - answers `Skipped` where it cannot say without waiting; it never throws.
   */
  readonly peek?: ((key: Key.Key) => Read) | undefined

  /**
   * Reads only the header.
   *
   * Behavior:
   * - answers as `get` does, without verifying the bytes: of a blob whose body is damaged it may answer the header.
   */
  readonly head: (key: Key.Key) => Effect.Effect<ReadHeader, TierError>

  /**
   * Stores a blob.
   *
   * Behavior:
   * - becomes visible at once and whole, after length, checksums and digest were seen to be those of the header.
   * - newer wins: below the generation that is there, answers `Superseded` and changes nothing; at the same generation,
   *   `Stored` if the digest is the same (a retry whose first try landed), else `Superseded`.
   * - with `expected`, answers `Conflict` and changes nothing unless that generation, or nothing, is there.
   * - a failed overwrite leaves the old blob.
   * - `Declined` means that this tier does not take this blob; what it held of the key stays. That holds for a blob which is
   *   already past its `expiresAt`, too.
   * - every field of the header is kept exactly, or the put is refused.
   * - interrupted, or with a stream that fails, it has happened whole or not at all; the stream is closed in any case.
   * - opens a streamed body at most once, and whole: what is copied while it is read cannot be read again.
   * - while it waits for a stream, other calls of the key are answered. What they did counts when the stream has ended:
   *   then the put is stored, or refused as one that begins at that moment.
   * - of a `Streamed` body, without the capability `streaming`, fails with `Unsupported`.
   */
  readonly put: (blob: Blob, options?: PutOptions) => Effect.Effect<Write, TierError>

  /**
   * Removes a blob of at most this generation.
   *
   * Behavior:
   * - answers `Absent` if there is none, and `Superseded` if a newer one is there, which stays. One past `expiresAt` is
   *   none.
   * - interrupted, it has happened or not.
   * - readers that are streaming the blob finish or fail; they never get other bytes.
   */
  readonly remove: (key: Key.Key, generation: Generation) => Effect.Effect<Removal, TierError>

  /**
   * Removes every blob of the group of at most this generation.
   *
   * Behavior:
   * - answers how many it has removed, how many newer ones stay, and the highest generation of these.
   * - blobs past `expiresAt` are none.
   * - a group whose name only begins alike is untouched.
   * - interrupted, each blob is there or not, whole; what is left can be removed again.
   */
  readonly removeGroup: (group: string, generation: Generation) => Effect.Effect<GroupRemoval, TierError>

  /**
   * Lists entries in a stable order of the tier's own; duplicates may occur.
   *
   * Behavior:
   * - an entry that is there from beginning to end is listed, whatever is put or removed meanwhile.
   * - a tier that can tell that `after` is no cursor of its own fails with `BadCursor`.
   * - without the capability `list`, fails with `Unsupported`.
   */
  readonly scan: (options?: ScanOptions) => Stream.Stream<Entry, TierError>

  /**
   * What the blobs take now.
   *
   * Behavior:
   * - where `exact`, counts every blob once, and nothing of puts that did not store and of what was removed.
   * - `bytes` is never above `limit`, if there is one.
   */
  readonly usage: Effect.Effect<Usage, TierError>

  /**
   * Blobs dropped to make room since the tier was built: a plain number, read when metrics are. Absent: the tier drops
   * none.
   *
   * Behavior:
   * - counts no blob that was removed or replaced.
   */
  readonly evictions?: (() => number) | undefined

  /**
   * Blobs that were found damaged since the tier was built: a plain number, read when metrics are. Absent: the tier keeps
   * them where nothing but a bug can damage them, as in process memory.
   *
   * Behavior:
   * - counts a blob when a read finds that it fails verification.
   */
  readonly corrupted?: (() => number) | undefined
}

// -----------------------------------------------------------------------------
// Outcomes
// -----------------------------------------------------------------------------

export const miss: Read & ReadHeader = { _tag: "Miss" }
export const hit = (blob: Blob): Read => ({ _tag: "Hit", blob })
export const hitHeader = (header: Header): ReadHeader => ({ _tag: "Hit", header })
export const skipped = (why: SkipReason): Read & ReadHeader => ({ _tag: "Skipped", why })
export const stored: Write = { _tag: "Stored" }
export const declined = (why: DeclineReason): Write => ({ _tag: "Declined", why })
export const removed: Removal = { _tag: "Removed" }
export const absent: Removal = { _tag: "Absent" }

/**
 * What a put must answer given the header that is there now; undefined: go on and store.
 *
 * The rule of the contract in one place, for tiers that read before they write.
 */
export const refusal = (
  next: Header,
  current: Header | undefined,
  expected: Generation | "absent" | undefined
): Write | undefined => {
  if (current !== undefined && current.generation === next.generation && current.digest === next.digest) return stored
  if (expected !== undefined && expected !== (current?.generation ?? "absent")) {
    return { _tag: "Conflict", current: current?.generation ?? "absent" }
  }
  if (current !== undefined && current.generation >= next.generation) {
    return { _tag: "Superseded", current: current.generation }
  }
  return undefined
}

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/**
 * A view that keeps its groups under `namespace-`; other groups of the tier are invisible to it.
 *
 * Behavior:
 * - a group that makes more than 200 characters together with the namespace is never there, and a put to it is declined.
 * - `usage` is that of the whole tier.
 * - a namespace that begins with another one and a `-` lies inside that one, whose `scan` lists it.
 * - throws `InvalidKey` for a namespace that no group can begin with.
 */
export const within: {
  (namespace: string): (self: Tier) => Tier
  (self: Tier, namespace: string): Tier
} = dual(2, (self: Tier, namespace: string): Tier => {
  const prefix = `${namespace}-`
  if (!Key.isGroup(prefix)) throw new Key.InvalidKey({ part: "group", value: namespace })
  const inside = (key: Key.Key, read: Read): Read =>
    read._tag === "Hit" ? hit({ header: { ...read.blob.header, key }, body: read.blob.body }) : read
  const { peek } = self
  const at = <A>(
    key: Key.Key,
    call: (outer: Key.Key) => Effect.Effect<A, TierError>,
    otherwise: A
  ): Effect.Effect<A, TierError> => {
    const outer = Key.make(prefix + key.group, key.name)
    return outer._tag === "Success" ? call(outer.success) : Effect.succeed(otherwise)
  }
  return {
    ...self,
    get: (key) => at(key, (outer) => Effect.map(self.get(outer), (read) => inside(key, read)), miss),
    peek:
      peek &&
      ((key) => {
        const outer = Key.make(prefix + key.group, key.name)
        return outer._tag === "Success" ? inside(key, peek(outer.success)) : miss
      }),
    head: (key) =>
      at(
        key,
        (outer) =>
          Effect.map(self.head(outer), (read) => (read._tag === "Hit" ? hitHeader({ ...read.header, key }) : read)),
        miss
      ),
    put: (blob, options) =>
      at(
        blob.header.key,
        (key) => self.put({ header: { ...blob.header, key }, body: blob.body }, options),
        declined("too-large")
      ),
    remove: (key, generation) => at(key, (outer) => self.remove(outer, generation), absent),
    removeGroup: (group, generation) =>
      Key.isGroup(prefix + group)
        ? self.removeGroup(prefix + group, generation)
        : Effect.succeed({ _tag: "Removed", removed: 0, superseded: 0 }),
    scan: (options) =>
      Stream.filterMap(self.scan({ ...options, groupPrefix: prefix + (options?.groupPrefix ?? "") }), (entry) =>
        Result.map(Key.make(entry.key.group.slice(prefix.length), entry.key.name), (key) => ({ ...entry, key }))
      )
  }
})

/** A view that reads only: puts are declined, removals are `Unsupported`. */
export const readOnly = (self: Tier): Tier => {
  const refuse = (operation: Operation) =>
    Effect.fail(new TierError({ tier: self.name, operation, reason: new Unsupported({ capability: "write" }) }))
  return {
    ...self,
    put: () => Effect.succeed(declined("read-only")),
    remove: () => refuse("remove"),
    removeGroup: () => refuse("removeGroup")
  }
}

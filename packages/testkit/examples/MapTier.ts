/**
 * The smallest tier that honours the contract: a map without limits.
 */
import type { Blob } from "@terrace/core/Blob"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, type Operation, type Reason, TierError, Unsupported } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

export class MapTier extends Context.Service<MapTier, Tier.Tier>()("@terrace/testkit/examples/MapTier") {}

const capabilities: Tier.Capabilities = {
  streaming: false,
  ranges: false,
  atomicPut: "process",
  durable: false,
  persistent: false,
  shared: false,
  list: true,
  nativeExpiry: false
}

const trouble = (operation: Operation, reason: Reason) => new TierError({ tier: "map", operation, reason })

export const make = (): Tier.Tier => {
  const blobs = new Map<string, Blob>()

  const find = (key: Key.Key) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      const blob = blobs.get(key.text)
      return blob === undefined || Header.isExpired(blob.header, now) ? undefined : blob
    })

  const remove = (key: Key.Key, generation: number) =>
    Effect.map(find(key), (blob): Tier.Removal => {
      if (blob === undefined) return Tier.absent
      if (blob.header.generation > generation) return { _tag: "Superseded", current: blob.header.generation }
      blobs.delete(key.text)
      return Tier.removed
    })

  return {
    name: "map",
    capabilities,
    get: (key) => Effect.map(find(key), (blob) => (blob === undefined ? Tier.miss : Tier.hit(blob))),
    head: (key) => Effect.map(find(key), (blob) => (blob === undefined ? Tier.miss : Tier.hitHeader(blob.header))),
    put: Effect.fnUntraced(function* (blob, options) {
      const { header, body } = blob
      if (body._tag === "Streamed") return yield* trouble("put", new Unsupported({ capability: "streaming" }))
      const encoded = yield* Effect.result(Header.encode(header))
      if (encoded._tag === "Failure") return Tier.declined("too-large")
      if (Header.isExpired(header, yield* Clock.currentTimeMillis)) return Tier.declined("expired")
      const present = yield* find(header.key)
      const refusal = Tier.refusal(header, present?.header, options?.expected)
      if (refusal !== undefined) return refusal
      if (!Header.verifies(header, body.bytes)) {
        return yield* trouble("put", new Corrupt({ detail: "the bytes are not those of the header" }))
      }
      blobs.set(header.key.text, blob)
      return Tier.stored
    }),
    remove,
    removeGroup: Effect.fnUntraced(function* (group, generation) {
      const members = [...blobs.values()].map(({ header }) => header).filter(({ key }) => key.group === group)
      const removals = yield* Effect.forEach(members, ({ key }) => remove(key, generation))
      const newer = removals.flatMap((removal) => (removal._tag === "Superseded" ? [removal.current] : []))
      return {
        _tag: "Removed",
        removed: removals.filter((removal) => removal._tag === "Removed").length,
        superseded: newer.length,
        current: newer.length === 0 ? undefined : Math.max(...newer)
      }
    }),
    scan: ({ groupPrefix = "", after = "" } = {}) =>
      Stream.fromIterable([...blobs.values()].map(({ header }) => header)).pipe(
        Stream.filter(({ key }) => key.group.startsWith(groupPrefix)),
        Stream.map(({ key, size }) => ({ key, size, cursor: key.text })),
        Stream.runCollect,
        Effect.map((entries) => entries.sort((left, right) => (left.cursor < right.cursor ? -1 : 1))),
        Effect.map((entries) => Stream.fromIterable(entries.filter((entry) => entry.cursor > after))),
        Stream.unwrap
      ),
    usage: Effect.sync(() => ({
      bytes: [...blobs.values()].reduce((sum, { header }) => sum + header.size, 0),
      entries: blobs.size,
      exact: true
    }))
  }
}

export const layer: Layer.Layer<MapTier> = Layer.sync(MapTier, make)

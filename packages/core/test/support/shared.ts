/**
 * Chains for tests over a store that other nodes write to as well.
 */
import * as MemoryTier from "@terrace/tier-memory/MemoryTier"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Blob from "../../src/Blob.ts"
import * as Chain from "../../src/Chain.ts"
import type * as Key from "../../src/Key.ts"
import type { Tier } from "../../src/Tier.ts"
import { type TierError, Unavailable } from "../../src/TierError.ts"
import { key, local, remote } from "./chains.ts"
import * as Controlled from "./Controlled.ts"

export const down = new Unavailable({ cause: "down" })

export const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

/** A blob as another node, or an earlier process, has stored it. */
export const blobAt = (content: string, generation: number, at: Key.Key = key): Blob.Blob =>
  Blob.make(at, Buffer.from(content), { contentType: "text/plain", generation, createdAt: 0 })

/** A store outside the process whose capabilities say that others write to it. */
export const sharedStore = (name = "store") =>
  Effect.map(MemoryTier.make({ name, maxBytes: 10_000_000 }), (tier) =>
    Controlled.make(tier, { capabilities: { ...tier.capabilities, persistent: true, shared: true } })
  )

/** A tier whose writes, from `begin` on, cannot be interrupted, and reach the tier within only when `land` runs. */
export const landingLate = (tier: Tier) => {
  const open = Deferred.makeUnsafe<void>()
  let isLate = false
  let outstanding = 0
  const onLanded = Deferred.makeUnsafe<void>()
  const late = <A>(write: Effect.Effect<A, TierError>): Effect.Effect<A, TierError> =>
    Effect.suspend(() => {
      if (!isLate) return write
      outstanding += 1
      return Effect.uninterruptible(
        Effect.andThen(
          Deferred.await(open),
          Effect.ensuring(
            write,
            Effect.sync(() => {
              outstanding -= 1
              if (outstanding === 0) Deferred.doneUnsafe(onLanded, Effect.void)
            })
          )
        )
      )
    })
  return {
    tier: {
      ...tier,
      put: (blob, options) => late(tier.put(blob, options)),
      remove: (at, generation) => late(tier.remove(at, generation)),
      removeGroup: (group, generation) => late(tier.removeGroup(group, generation))
    } satisfies Tier,
    begin: () => {
      isLate = true
    },
    /** Ends the lateness of new writes. */
    end: () => {
      isLate = false
    },
    /** Lets every write through that has come late, and waits for the last of them. */
    land: Effect.suspend(() => {
      Deferred.doneUnsafe(open, Effect.void)
      return outstanding === 0 ? Effect.void : Deferred.await(onLanded)
    })
  }
}

/** One node: memory → disk (cache) → `store`. The store is new unless it is that of another node. */
export const node = (
  options: Partial<Chain.Options> & {
    readonly of?: Controlled.Controlled | undefined
    readonly storePolicy?: Chain.Link["policy"]
  } = {}
) =>
  Effect.gen(function* () {
    const { of, storePolicy, ...rest } = options
    const memory = yield* local()
    const disk = yield* remote("disk")
    const store = of ?? (yield* sharedStore())
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [{ tier: memory.tier }, { tier: disk.tier }],
      store: { tier: store.tier, policy: storePolicy },
      ...rest
    })
    return { chain, memory, disk, store }
  })

/** A chain that is nothing but a store: every read asks it, or is answered by what the chain itself remembers. */
export const storeOnly = (
  options: Partial<Chain.Options> & { readonly store?: undefined; readonly of?: Controlled.Controlled } = {}
) =>
  Effect.gen(function* () {
    const { of, ...rest } = options
    const store = of ?? (yield* remote("store"))
    const chain = yield* Chain.make<string>({
      name: "test",
      caches: [],
      maxHeaders: 0,
      ...rest,
      store: { tier: store.tier }
    })
    return { chain, store }
  })

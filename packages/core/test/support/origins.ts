/**
 * Chains over an origin of texts, whose calls are counted.
 */
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Chain from "../../src/Chain.ts"
import type * as Key from "../../src/Key.ts"
import type * as Origin from "../../src/Origin.ts"
import type { Tier } from "../../src/Tier.ts"
import { TierError } from "../../src/TierError.ts"
import { draft, key, local } from "./chains.ts"
import * as Controlled from "./Controlled.ts"
import { down } from "./shared.ts"

/** An origin of texts, by key. What it is asked, and what it holds open, is counted. */
export const textOrigin = (contents: Record<string, string> = {}) => {
  const self = {
    contents: new Map(Object.entries(contents)),
    letGo: new Set<string>(),
    calls: { read: 0, make: 0, release: 0 },
    /** Readings whose scope has not closed. */
    open: 0,
    failing: undefined as TierError | undefined,
    beforeMake: Effect.void as Effect.Effect<unknown>,
    beforeRelease: Effect.void as Effect.Effect<unknown>,
    makes: (content: string): Effect.Effect<Chain.Draft, string> => Effect.succeed(draft(`made of ${content}`))
  }
  const holdingOf = (at: Key.Key, content: string): Origin.Holding<string> => ({
    _tag: "Holding",
    make: Effect.suspend(() => {
      self.calls.make += 1
      return Effect.andThen(self.beforeMake, self.makes(content))
    }),
    release: (): Effect.Effect<Origin.Release<string>, TierError> =>
      Effect.suspend(() => {
        self.calls.release += 1
        return self.failing === undefined ? self.beforeRelease : Effect.fail(self.failing)
      }).pipe(
        Effect.map((): Origin.Release<string> => {
          const now = self.contents.get(at.text)
          if (now === undefined) return { _tag: "Gone" }
          if (now !== content) return { _tag: "Changed", holding: holdingOf(at, now) }
          self.contents.delete(at.text)
          self.letGo.add(at.text)
          return { _tag: "Released" }
        })
      )
  })
  const origin: Origin.Origin<string> = {
    name: "origin",
    has: (at) =>
      Effect.suspend(() => (self.failing ? Effect.fail(self.failing) : Effect.succeed(self.contents.has(at.text)))),
    read: (at) =>
      Effect.gen(function* () {
        self.calls.read += 1
        if (self.failing !== undefined) return yield* self.failing
        yield* Effect.acquireRelease(
          Effect.sync(() => (self.open += 1)),
          () => Effect.sync(() => (self.open -= 1))
        )
        const content = self.contents.get(at.text)
        if (content !== undefined) return holdingOf(at, content)
        return self.letGo.has(at.text) ? { _tag: "LetGo" } : { _tag: "Nothing" }
      })
  }
  return Object.assign(self, { origin })
}

export const unavailable = new TierError({ tier: "origin", operation: "get", reason: down })

export const durable = (tier: Tier, isDurable = true): Partial<Tier> => ({
  capabilities: { ...tier.capabilities, persistent: true, durable: isDurable }
})

/** memory → store, with an origin. */
export const setup = (
  contents: Record<string, string> = {},
  { isDurable = true, ...options }: Partial<Chain.Options> & { readonly isDurable?: boolean } = {}
) =>
  Effect.gen(function* () {
    // Not the epoch, where the first generation of a clock is that of origins.
    yield* TestClock.adjust("1 day")
    const memory = yield* local()
    const inner = yield* local("store")
    const store = Controlled.make(inner.tier, durable(inner.tier, isDurable))
    const source = textOrigin(contents)
    const chain = yield* Chain.make<string, string>({
      name: "test",
      caches: [{ tier: memory.tier }],
      store: { tier: store.tier },
      origin: source.origin,
      ...options
    })
    return { chain, memory, source, store }
  })

export const stored = (tier: Tier) =>
  Effect.map(tier.get(key), (read) =>
    read._tag === "Hit" && read.blob.body._tag === "Inline" ? Buffer.from(read.blob.body.bytes).toString() : read._tag
  )

export const generationIn = (tier: Tier) =>
  Effect.map(tier.head(key), (read) => (read._tag === "Hit" ? read.header.generation : undefined))

export const once = { [key.text]: "base64" }

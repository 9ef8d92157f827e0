/**
 * A tier whose network fails on demand.
 */
import { assert } from "@effect/vitest"
import type { Blob } from "@terrace/core/Blob"
import type * as Body from "@terrace/core/Body"
import type * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as Effect from "effect/Effect"
import type * as S3Tier from "../../src/S3Tier.ts"
import { eventually } from "./Polling.ts"
import { fixture } from "./Servers.ts"

/** A tier behind a proxy, and one beside it. */
export const behindProxy = Effect.fnUntraced(function* (options: Partial<S3Tier.Options> = {}) {
  const self = yield* fixture
  const proxy = yield* FaultProxy.make({ host: self.server.host, port: self.server.port })
  const endpoint = `http://${proxy.host}:${proxy.port}`
  return { ...self, proxy, tier: yield* self.open({ endpoint, ...options }), direct: yield* self.open() }
})

/**
 * The tier has closed its connections, none is left to be used again. The proxy heals, since it learns that the tier has
 * gone when it hands over what it holds for it; that is long before a connection is closed for lying idle.
 */
export const allClosed = (proxy: FaultProxy.FaultProxy) =>
  Effect.andThen(
    Effect.orDie(proxy.set({})),
    eventually("all connections are closed", proxy.stats, ({ open }) => open === 0, "3 seconds")
  )

export const bodyOf = (tier: Tier.Tier, { header }: Blob): Effect.Effect<Body.Body, TierError> =>
  Effect.map(tier.get(header.key), (read) =>
    read._tag === "Hit" ? read.blob.body : assert.fail(`expected Hit, got ${read._tag}`)
  )

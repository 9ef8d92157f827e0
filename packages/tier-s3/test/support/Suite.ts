/**
 * Tests that share one server.
 */
import type { Vitest } from "@effect/vitest"
import type * as S3Server from "@terrace/testkit/S3Server"

/** What `it.layer` gives to its tests. */
export type It = Vitest.MethodsNonLive<S3Server.S3Server>

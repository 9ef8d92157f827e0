import type * as Blob from "@terrace/core/Blob"
import * as Fixtures from "@terrace/testkit/Fixtures"

export const groups: ReadonlyArray<string> = Array.from({ length: 6 }, (_, index) => `crash-${index}`)

/** The blob of a group and generation, the same in every process: small and large ones by turns. */
export const crashBlob = (group: string, generation: number): Blob.Blob =>
  Fixtures.blob({ group, generation, size: 20_000 + ((generation * 7_919) % 11) * 60_000 })

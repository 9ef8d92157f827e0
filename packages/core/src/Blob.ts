/**
 * A header and its body. Immutable: writing a key makes a new blob of a higher generation.
 */
import * as Body from "./Body.ts"
import * as Header from "./Header.ts"
import type * as Key from "./Key.ts"

export interface Blob {
  readonly header: Header.Header
  readonly body: Body.Body
}

/** Builds the blob of `bytes`; digest and checksums are computed. */
export const make = (key: Key.Key, bytes: Uint8Array, description: Header.Description): Blob => ({
  header: Header.describe(key, bytes, description),
  body: Body.inline(bytes)
})

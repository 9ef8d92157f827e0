/**
 * `put`: one script, which compares and stores in one step among all clients.
 */
import type { Blob } from "@terrace/core/Blob"
import * as Header from "@terrace/core/Header"
import * as Tier from "@terrace/core/Tier"
import { Corrupt, type TierError, Unsupported } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Blobs from "./Blobs.ts"
import * as Layout from "./Layout.ts"
import * as scripts from "./scripts.ts"

export const put = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  { body, header }: Blob,
  options: Tier.PutOptions | undefined
): Effect.fn.Return<Tier.Write, TierError> {
  const { digest, expiresAt, generation, key } = header
  if (body._tag === "Streamed") return yield* Blobs.trouble(blobs, "put", new Unsupported({ capability: "streaming" }))
  const encoded = yield* Effect.result(Header.encode(header))
  if (encoded._tag === "Failure" || body.bytes.byteLength > blobs.maxBytes) {
    return Tier.declined("too-large")
  }
  const value = Layout.headerValue(header, encoded.success)
  if (Layout.headerOf(key, value) === undefined || !Header.verifies(header, body.bytes)) {
    const detail = `${key.text} has a header that cannot be read back, or bytes that are not those of its header`
    return yield* Blobs.trouble(blobs, "put", new Corrupt({ detail }))
  }
  const now = yield* Clock.currentTimeMillis
  if (Header.isExpired(header, now)) return Tier.declined("expired")
  const bytes = Buffer.from(body.bytes.buffer, body.bytes.byteOffset, body.bytes.byteLength)
  const answer = yield* Blobs.run(
    blobs,
    "put",
    bytes.byteLength,
    scripts.put,
    Layout.groupKey(blobs.prefix, key.group),
    [key.name, value, bytes, generation, digest, options?.expected ?? "", now, Layout.lifetime(expiresAt, now)]
  )
  return writeOf(answer) ?? (yield* Blobs.unexpected(blobs, "put", answer))
})

const writeOf = (answer: unknown): Tier.Write | undefined => {
  const [tag, current] = Array.isArray(answer) ? (answer as ReadonlyArray<unknown>) : []
  if (tag === "stored") return Tier.stored
  if (tag === "conflict") return { _tag: "Conflict", current: current === "absent" ? "absent" : Number(current) }
  return tag === "superseded" ? { _tag: "Superseded", current: Number(current) } : undefined
}

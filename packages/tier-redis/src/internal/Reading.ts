/**
 * `get` and `head`: one command each.
 *
 * HMGET answers header and bytes as they are at one moment. A script would too, but Lua copies the bytes once more: at
 * 256 KiB that takes three times as long.
 */
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import type { TierError } from "@terrace/core/TierError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Blobs from "./Blobs.ts"
import * as Layout from "./Layout.ts"
import * as Script from "./Script.ts"
import * as scripts from "./scripts.ts"

const skip = (why: Tier.SkipReason): Effect.Effect<Tier.Read & Tier.ReadHeader> => Effect.succeed(Tier.skipped(why))

interface Fields {
  readonly _tag: "Fields"
  readonly value: Buffer | null | undefined
  readonly bytes: Buffer | null | undefined
}

export const get = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  key: Key.Key
): Effect.fn.Return<Tier.Read, TierError> {
  const groupKey = Layout.groupKey(blobs.prefix, key.group)
  const command = Blobs.admitted(
    blobs,
    "get",
    blobs.maxBytes + Blobs.commandBytes,
    async (client): Promise<Fields> => {
      const fields = [Layout.headerField(key.name), Layout.payloadField(key.name)]
      const [value, bytes] = await client.hmgetBuffer(groupKey, ...fields)
      return { _tag: "Fields", value, bytes }
    },
    skip
  )
  const answer = yield* command
  if (answer._tag !== "Fields") return answer
  const { bytes, value } = answer
  if (!value) return Tier.miss
  const header = Layout.headerOf(key, value.toString("latin1"))
  if (header === undefined || !bytes || !Header.matches(header, bytes)) {
    yield* dropDamaged(blobs, key, value, bytes ?? Buffer.alloc(0))
    return Tier.miss
  }
  if (header.expiresAt !== undefined && Header.isExpired(header, yield* Clock.currentTimeMillis)) return Tier.miss
  return Tier.hit({ header, body: Body.inline(bytes) })
})

export const head = Effect.fnUntraced(function* (
  blobs: Blobs.Blobs,
  key: Key.Key
): Effect.fn.Return<Tier.ReadHeader, TierError> {
  const now = yield* Clock.currentTimeMillis
  const groupKey = Layout.groupKey(blobs.prefix, key.group)
  const answer = yield* Blobs.admitted(
    blobs,
    "head",
    Blobs.commandBytes,
    async (client) => ({
      _tag: "Value" as const,
      value: await Script.run(client, scripts.head, groupKey, [key.name, now])
    }),
    skip
  )
  if (answer._tag !== "Value") return answer
  const header = typeof answer.value === "string" ? Layout.headerOf(key, answer.value) : undefined
  return header === undefined ? Tier.miss : Tier.hitHeader(header)
})

/** Drops what was read, and nothing that took its place. A failure to do so changes nothing: it reads as absent. */
const dropDamaged = (blobs: Blobs.Blobs, { group, name, text }: Key.Key, value: Buffer, bytes: Buffer) => {
  const groupKey = Layout.groupKey(blobs.prefix, group)
  blobs.stats.damaged++
  return Blobs.run(blobs, "get", bytes.byteLength, scripts.drop, groupKey, [name, value, bytes]).pipe(
    Effect.matchEffect({
      onFailure: (error) => Effect.logWarning(`${blobs.name}: ${text} is damaged and could not be dropped`, error),
      onSuccess: () => Effect.logWarning(`${blobs.name}: ${text} was damaged and is dropped`)
    })
  )
}

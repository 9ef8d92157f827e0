/** Bugs of lifetimes. */
import type * as Key from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { afterStored, type Mutant, newest, ofMemory, withHeader } from "./Mutant.ts"

export const times: ReadonlyArray<Mutant> = [
  ofMemory(
    "a put of what has expired drops what it would have replaced",
    (tier) => ({
      ...tier,
      put: (blob, options) =>
        Effect.tap(tier.put(blob, options), (write) =>
          write._tag === "Declined" && write.why === "expired" ? tier.remove(blob.header.key, newest) : Effect.void
        )
    }),
    "put - of a newer blob that is already past `expiresAt` keeps the old one"
  ),

  {
    ...ofMemory(
      "lifetimes are a day longer",
      (tier) =>
        withHeader(tier, (header) => ({
          ...header,
          expiresAt: header.expiresAt === undefined ? undefined : header.expiresAt + 86_400_000
        })),
      "get - answers Miss once a short lifetime has passed, by the backend's clock"
    ),
    clock: "live",
    waits: true
  },

  {
    ...ofMemory(
      "lifetimes end too early",
      (tier) => ({
        ...withHeader(tier, (header) => ({
          ...header,
          expiresAt: header.expiresAt === undefined ? undefined : header.expiresAt - 700
        })),
        get: (key) =>
          Effect.map(tier.get(key), (read) =>
            read._tag === "Hit" && read.blob.header.expiresAt !== undefined
              ? Tier.hit({
                  header: { ...read.blob.header, expiresAt: read.blob.header.expiresAt + 700 },
                  body: read.blob.body
                })
              : read
          )
      }),
      "get - answers Miss once a short lifetime has passed, by the backend's clock",
      "milliseconds before `expiresAt`"
    ),
    clock: "live"
  },

  ofMemory(
    "lifetimes count the time that has passed, not what the clock says",
    (tier) => {
      const dueAt = new Map<string, number>()
      let passed = 0
      let last: number | undefined
      const tick = Effect.map(Clock.currentTimeMillis, (now) => {
        passed += Math.max(0, now - (last ?? now))
        last = now
        return now
      })
      const expire = (key: Key.Key) =>
        Effect.flatMap(tick, () =>
          (dueAt.get(key.text) ?? Number.POSITIVE_INFINITY) <= passed ? tier.remove(key, newest) : Effect.void
        )
      return {
        ...tier,
        get: (key) => Effect.andThen(expire(key), tier.get(key)),
        head: (key) => Effect.andThen(expire(key), tier.head(key)),
        put: (blob, options) =>
          Effect.flatMap(tick, (now) => {
            const { expiresAt, key } = blob.header
            dueAt.set(key.text, passed + (expiresAt ?? Number.POSITIVE_INFINITY) - now)
            return tier.put(blob, options)
          })
      }
    },
    "get - answers while the clock goes back, and Miss when it has come to `expiresAt` again"
  ),

  ofMemory(
    "an expired blob is Removed",
    (tier) => {
      const there = new Set<string>()
      return {
        ...afterStored(tier, ({ header }) => Effect.sync(() => there.add(header.key.text))),
        remove: (key, generation) =>
          Effect.map(tier.remove(key, generation), (removal) =>
            there.delete(key.text) && removal._tag === "Absent" ? Tier.removed : removal
          )
      }
    },
    "remove and removeGroup - count a blob past `expiresAt` as absent, of whatever generation"
  )
]

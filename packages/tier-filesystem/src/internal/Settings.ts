/**
 * Options with their defaults, checked.
 */
import * as Body from "@terrace/core/Body"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Path from "node:path"
import type { Options } from "../Options.ts"
import { StartError } from "../StartError.ts"
import type { Durability } from "./Directories.ts"

export interface Settings {
  readonly name: string
  /** Absolute. */
  readonly root: string
  readonly role: "store" | "cache"
  readonly maxBytes: number | undefined
  readonly minFreeBytes: number
  readonly durability: Durability
  readonly softMark: number
  readonly lowMark: number
  readonly maxAgeMillis: number | undefined
  readonly touchEveryMillis: number
  readonly sweepEvery: Duration.Duration
  readonly inlineBelow: number
}

const isByteCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

export const resolve = (options: Options): Effect.Effect<Settings, StartError> => {
  const invalid = (name: keyof Options, expected: string) =>
    Effect.fail(
      new StartError({
        root: options.root,
        reason: "invalid-option",
        detail: `${name} is ${JSON.stringify(options[name])}`,
        fix: `Set it to ${expected}`
      })
    )
  const {
    maxBytes,
    minFreeBytes = 67_108_864,
    inlineBelow = Body.inlineBelow,
    softMark = 0.95,
    lowMark = 0.85
  } = options
  if (options.root === "") return invalid("root", `a directory, for example "/var/lib/terrace/masters"`)
  if (maxBytes !== undefined && (!isByteCount(maxBytes) || maxBytes === 0)) {
    return invalid("maxBytes", "a whole number of bytes above 0, for example 10737418240 for 10 GiB")
  }
  if (!isByteCount(minFreeBytes))
    return invalid("minFreeBytes", "a whole number of bytes, for example 67108864 for 64 MiB")
  if (!isByteCount(inlineBelow)) return invalid("inlineBelow", "a whole number of bytes, for example 1048576 for 1 MiB")
  if (!(softMark > 0 && softMark <= 1)) return invalid("softMark", "a share above 0 and up to 1, for example 0.95")
  if (!(lowMark > 0 && lowMark <= softMark))
    return invalid("lowMark", "a share above 0 and up to softMark, for example 0.85")
  const maxAge = options.maxAge === undefined ? undefined : Duration.fromInput(options.maxAge)
  const touchEvery = Duration.fromInput(options.touchEvery ?? "10 minutes")
  const sweepEvery = Duration.fromInput(options.sweepEvery ?? "6 hours")
  if (maxAge !== undefined && Option.isNone(maxAge)) return invalid("maxAge", `a duration, for example "30 days"`)
  if (Option.isNone(touchEvery)) return invalid("touchEvery", `a duration, for example "10 minutes"`)
  if (Option.isNone(sweepEvery) || Duration.toMillis(sweepEvery.value) <= 0) {
    return invalid("sweepEvery", `a duration above 0, for example "6 hours"`)
  }
  return Effect.succeed({
    name: options.name ?? "filesystem",
    root: Path.resolve(options.root),
    role: options.role,
    maxBytes,
    minFreeBytes,
    durability: options.durability ?? (options.role === "store" ? "file+directory" : "none"),
    softMark,
    lowMark,
    maxAgeMillis: maxAge === undefined ? undefined : Duration.toMillis(maxAge.value),
    touchEveryMillis: Duration.toMillis(touchEvery.value),
    sweepEvery: sweepEvery.value,
    inlineBelow
  })
}

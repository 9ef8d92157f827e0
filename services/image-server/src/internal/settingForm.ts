/**
 * Forms that the value of a setting may have: what to tell people, and how to read the text.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { isIP } from "node:net"

export interface Form<A> {
  readonly expected: string
  /** Reads a value that is trimmed and not empty. */
  readonly read: (text: string) => Option.Option<A>
  /** Whether messages must not show what was found. */
  readonly isSecret?: boolean
}

const form = <A>(expected: string, read: (text: string) => A | undefined): Form<A> => ({
  expected,
  read: (text) => Option.fromUndefinedOr(read(text))
})

export const wholeNumber = (minimum: number, maximum: number): Form<number> =>
  form(`a whole number from ${minimum} to ${maximum}`, (text) => within(digits(text), minimum, maximum))

const within = (value: number | undefined, minimum: number, maximum: number): number | undefined =>
  value !== undefined && value >= minimum && value <= maximum ? value : undefined

const digits = (text: string): number | undefined => (/^[0-9]{1,15}$/.test(text) ? Number(text) : undefined)

export const byteSize = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Form<number> =>
  form(
    `a size of at least ${minimum}${maximum === Number.MAX_SAFE_INTEGER ? "" : ` and at most ${maximum}`} bytes, with or without a unit such as kB, MB, KiB or MiB`,
    (text) => within(bytesOf(text), minimum, maximum)
  )

export const oneOf = <const A extends string>(values: ReadonlyArray<A>): Form<A> =>
  form(`one of ${values.join(", ")}`, (text) => values.find((value) => value === text))

const bytesOf = (text: string): number | undefined =>
  digits(text) ??
  (isShort(text)
    ? Option.getOrUndefined(Option.flatMap(ByteSize.fromString(text), (size) => ByteSize.toNumber(size)))
    : undefined)

/** The readers of fractions compute a power of ten from the length of the text. */
const isShort = (text: string): boolean => text.length <= 40

/** A number without unit is refused: what one takes for days another takes for seconds. `0` switches off. */
export const duration: Form<Duration.Duration | "off"> = form(
  "at least a second, as a number with a unit such as seconds, minutes, hours or days, or 0 for never",
  (text) => {
    const read = text === "0" ? Duration.zero : durationOf(text)
    if (read === undefined || Duration.isZero(read)) return read === undefined ? undefined : "off"
    return Duration.toMillis(read) < 1_000 ? undefined : read
  }
)

/** As `duration`, but it cannot be switched off. */
export const period: Form<Duration.Duration> = form(
  "at least a second, as a number with a unit such as seconds, minutes, hours or days",
  (text) => {
    const read = durationOf(text)
    return read === undefined || Duration.toMillis(read) < 1_000 ? undefined : read
  }
)

/** What a signature of S3 may last. */
export const signedPeriod: Form<Duration.Duration> = form(
  "a second to 7 days, as a number with a unit such as seconds, minutes, hours or days",
  (text) => {
    const read = durationOf(text)
    return read === undefined || Duration.toMillis(read) < 1_000 || Duration.toMillis(read) > 604_800_000
      ? undefined
      : read
  }
)

const durationOf = (text: string): Duration.Duration | undefined =>
  Schema.decodeUnknownOption(Schema.DurationFromString)(isShort(text) ? text : "").pipe(
    Option.filter((read) => Duration.isFinite(read) && !Duration.isNegative(read)),
    Option.getOrUndefined
  )

export const seconds = (maximum: number): Form<number> =>
  form(`whole seconds from 0 to ${maximum}, or a number with a unit such as minutes, hours or days`, (text) => {
    const read = durationOf(text)
    const value = digits(text) ?? (read === undefined ? undefined : Duration.toSeconds(read))
    return Number.isInteger(value) ? within(value, 0, maximum) : undefined
  })

export const onOff: Form<boolean> = form("on or off (also true, false, yes, no, 1, 0)", (text) =>
  ["on", "true", "yes", "1"].includes(text.toLowerCase())
    ? true
    : ["off", "false", "no", "0"].includes(text.toLowerCase())
      ? false
      : undefined
)

export const address: Form<string> = form("an IP address or a host name", (text) => {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text
  return isIP(bare) !== 0 || (bare === text && isHostName(text)) ? bare : undefined
})

/** Labels of RFC 1123 §2.1; the last one is not a number, so a mistyped address is no name. */
const isHostName = (text: string): boolean => {
  const labels = text.length > 253 ? [] : text.split(".")
  return (
    labels.length > 0 &&
    labels.every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label)) &&
    !/^[0-9]+$/.test(labels.at(-1) ?? "")
  )
}

export const path: Form<string> = form("the path of a directory", (text) => (text.includes("\0") ? undefined : text))

export const httpUrl: Form<string> = form("a URL, http:// or https://", (text) => {
  const url = URL.parse(text)
  return (url?.protocol === "http:" || url?.protocol === "https:") && url.hostname !== "" ? text : undefined
})

/** What names of objects are put behind, and everybody gets to see. */
export const publicUrl: Form<string> = form(
  "a URL in ASCII, http:// or https://, without user, password, query and fragment",
  (text) => {
    const url = /^https?:\/\/(?:(?![?#@])[!-~])+$/.test(text) ? URL.parse(text) : null
    return url === null || url.hostname === "" ? undefined : text
  }
)

export const bucket: Form<string> = form("the name of a bucket, or the ARN of an access point", (text) =>
  /^([A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[A-Za-z0-9:/._-]+)$/.test(text) ? text : undefined
)

export const region: Form<string> = form("the name of a region", (text) =>
  /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(text) ? text : undefined
)

export const keyPrefix: Form<string> = form(
  "letters, digits and !_.*'()- in parts that end with / and are not only dots",
  (text) => (/^((?!\.+\/)[A-Za-z0-9!_.*'()-]+\/)+$/.test(text) && text.length <= 700 ? text : undefined)
)

export const redisUrl: Form<Redacted.Redacted> = {
  ...form("the URL of a Redis server, redis:// or rediss://", (text) => {
    const url = URL.parse(text)
    return (url?.protocol === "redis:" || url?.protocol === "rediss:") && url.hostname !== ""
      ? Redacted.make(text, { label: "redis" })
      : undefined
  }),
  isSecret: true
}

export const secret: Form<Redacted.Redacted> = {
  ...form(`letters, digits and -._~+/= without blanks (RFC 6750)`, (text) =>
    /^[A-Za-z0-9._~+/-]+=*$/.test(text) ? Redacted.make(text, { label: "token" }) : undefined
  ),
  isSecret: true
}

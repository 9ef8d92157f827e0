/**
 * Forms that a value of the configuration may have: what to tell people, and how to read it.
 *
 * Every value is read as text, whether it stands in a file or in an environment variable, so that both have one spelling.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { isIP } from "node:net"

/** A value that is not a list and has no keys. */
export type Scalar = string | number | boolean

export interface Form<A> {
  readonly expected: string
  /** Reads a value that is trimmed and not empty. */
  readonly read: (text: string) => Option.Option<A>
  /** Writes a value so that `read` reads it again. */
  readonly write: (value: A) => Scalar
  /** What the value may be in a file besides text. A text that looks like a number is put in quotes. */
  readonly accepts: "text" | "time" | "number" | "switch"
  readonly type: Schema.Codec<A, unknown>
  /** The texts that it takes, if they can be counted: editors offer them. */
  readonly choices?: ReadonlyArray<string>
  /** Whether messages must not show what was found. */
  readonly isSecret: boolean
}

/** What a form is made of, besides what `form` knows of its kind of value. */
type Kind<A> = Pick<Form<A>, "write" | "accepts" | "type" | "choices"> & { readonly isSecret?: boolean }

const form = <A>(kind: Kind<A>, expected: string, read: (text: string) => A | undefined): Form<A> => ({
  isSecret: false,
  ...kind,
  expected,
  read: (text) => Option.fromUndefinedOr(read(text))
})

const text: Kind<string> = { accepts: "text", type: Schema.String, write: (value) => value }
const number: Kind<number> = { accepts: "number", type: Schema.Number, write: (value) => value }
const secretText: Kind<Redacted.Redacted> = {
  accepts: "text",
  type: Schema.Redacted(Schema.String),
  write: Redacted.value,
  isSecret: true
}
const time: Kind<Duration.Duration> = {
  accepts: "time",
  type: Schema.Duration,
  write: (value) => `${Duration.toMillis(value)} millis`
}

// -----------------------------------------------------------------------------
// Numbers
// -----------------------------------------------------------------------------

export const wholeNumber = (minimum: number, maximum: number): Form<number> =>
  form(number, `a whole number from ${minimum} to ${maximum}`, (value) => within(digits(value), minimum, maximum))

/** A part of a whole, without 0. */
export const share: Form<number> = form(number, "a number above 0 and up to 1", (value) =>
  /^(0?\.[0-9]{1,6}|0|1|1\.0{1,6})$/.test(value) && Number(value) > 0 ? Number(value) : undefined
)

export const byteSize = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): Form<number> =>
  form(
    number,
    `a size of at least ${minimum}${maximum === Number.MAX_SAFE_INTEGER ? "" : ` and at most ${maximum}`} bytes, with or without a unit such as kB, MB, KiB or MiB`,
    (value) => within(bytesOf(value), minimum, maximum)
  )

export const seconds = (maximum: number): Form<number> =>
  form(
    number,
    `whole seconds from 0 to ${maximum}, or a number with a unit such as minutes, hours or days`,
    (value) => {
      const read = durationOf(value)
      const whole = digits(value) ?? (read === undefined ? undefined : Duration.toSeconds(read))
      return Number.isInteger(whole) ? within(whole, 0, maximum) : undefined
    }
  )

const within = (value: number | undefined, minimum: number, maximum: number): number | undefined =>
  value !== undefined && value >= minimum && value <= maximum ? value : undefined

const digits = (value: string): number | undefined => (/^[0-9]{1,15}$/.test(value) ? Number(value) : undefined)

const bytesOf = (value: string): number | undefined =>
  digits(value) ??
  (isShort(value)
    ? Option.getOrUndefined(Option.flatMap(ByteSize.fromString(value), (size) => ByteSize.toNumber(size)))
    : undefined)

/** The readers of fractions compute a power of ten from the length of the text. */
const isShort = (value: string): boolean => value.length <= 40

// -----------------------------------------------------------------------------
// Times
// -----------------------------------------------------------------------------

/** A number without unit is refused: what one takes for days another takes for seconds. `0` switches off. */
export const duration: Form<Duration.Duration | "off"> = form<Duration.Duration | "off">(
  {
    accepts: "number",
    type: Schema.Union([Schema.Duration, Schema.Literal("off")]),
    write: (value) => (value === "off" ? 0 : time.write(value))
  },
  "at least a second, as a number with a unit such as seconds, minutes, hours or days, or 0 for never",
  (value) => {
    const read = value === "0" ? Duration.zero : durationOf(value)
    if (read === undefined || Duration.isZero(read)) return read === undefined ? undefined : "off"
    return Duration.toMillis(read) < 1_000 ? undefined : read
  }
)

/** As `duration`, but it cannot be switched off. */
export const period: Form<Duration.Duration> = form(
  time,
  "at least a second, as a number with a unit such as seconds, minutes, hours or days",
  (value) => {
    const read = durationOf(value)
    return read === undefined || Duration.toMillis(read) < 1_000 ? undefined : read
  }
)

/** As `period`, but within a range, whose ends are written as values are. */
export const periodWithin = (least: string, most: string): Form<Duration.Duration> =>
  form(time, `from ${least} to ${most}, as a number with a unit such as millis, seconds, minutes or hours`, (value) => {
    const read = durationOf(value)
    const [minimum, maximum] = [durationOf(least), durationOf(most)]
    return read && minimum && maximum && Duration.between(read, { minimum, maximum }) ? read : undefined
  })

const durationOf = (value: string): Duration.Duration | undefined =>
  Schema.decodeUnknownOption(Schema.DurationFromString)(isShort(value) ? value : "").pipe(
    Option.filter((read) => Duration.isFinite(read) && !Duration.isNegative(read)),
    Option.getOrUndefined
  )

// -----------------------------------------------------------------------------
// Choices
// -----------------------------------------------------------------------------

export const oneOf = <const A extends string>(values: ReadonlyArray<A>): Form<A> =>
  form<A>(
    { accepts: "text", type: Schema.Literals(values), choices: values, write: (value) => value },
    `one of ${values.join(", ")}`,
    (value) => values.find((known) => known === value)
  )

export const onOff: Form<boolean> = form<boolean>(
  { accepts: "switch", type: Schema.Boolean, write: (value) => (value ? "on" : "off") },
  "on or off (also true, false, yes, no, 1, 0)",
  (value) =>
    ["on", "true", "yes", "1"].includes(value.toLowerCase())
      ? true
      : ["off", "false", "no", "0"].includes(value.toLowerCase())
        ? false
        : undefined
)

/** What may be off, and is told more of if it is not. */
export const off: Form<"off"> = form<"off">(
  { accepts: "switch", type: Schema.Literal("off"), write: () => "off" },
  "off (also false, no, 0)",
  (value) => (["off", "false", "no", "0"].includes(value.toLowerCase()) ? "off" : undefined)
)

// -----------------------------------------------------------------------------
// Names and addresses
// -----------------------------------------------------------------------------

export const address: Form<string> = form(text, "an IP address or a host name", (value) => {
  const bare = value.startsWith("[") && value.endsWith("]") ? value.slice(1, -1) : value
  return isIP(bare) !== 0 || (bare === value && isHostName(value)) ? bare : undefined
})

/** Labels of RFC 1123 §2.1; the last one is not a number, so a mistyped address is no name. */
const isHostName = (value: string): boolean => {
  const labels = value.length > 253 ? [] : value.split(".")
  return (
    labels.length > 0 &&
    labels.every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label)) &&
    !/^[0-9]+$/.test(labels.at(-1) ?? "")
  )
}

export const path: Form<string> = form(text, "the path of a directory", (value) =>
  value.includes("\0") ? undefined : value
)

export const httpUrl: Form<string> = form(text, "a URL, http:// or https://", (value) => {
  const url = URL.parse(value)
  return (url?.protocol === "http:" || url?.protocol === "https:") && url.hostname !== "" ? value : undefined
})

/** What names of objects are put behind, and everybody gets to see. */
export const publicUrl: Form<string> = form(
  text,
  "a URL in ASCII, http:// or https://, without user, password, query and fragment",
  (value) => {
    const url = /^https?:\/\/(?:(?![?#@])[!-~])+$/.test(value) ? URL.parse(value) : null
    return url === null || url.hostname === "" ? undefined : value
  }
)

export const bucket: Form<string> = form(text, "the name of a bucket, or the ARN of an access point", (value) =>
  /^([A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[A-Za-z0-9:/._-]+)$/.test(value) ? value : undefined
)

export const region: Form<string> = form(text, "the name of a region", (value) =>
  /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(value) ? value : undefined
)

export const keyPrefix: Form<string> = form(
  text,
  "letters, digits and !_.*'()- in parts that end with / and are not only dots",
  (value) => (/^((?!\.+\/)[A-Za-z0-9!_.*'()-]+\/)+$/.test(value) && value.length <= 700 ? value : undefined)
)

export const redisPrefix: Form<string> = form(text, "1 to 64 letters, digits, :, ., _ or -", (value) =>
  /^[A-Za-z0-9:._-]{1,64}$/.test(value) ? value : undefined
)

/** Names of tiers stand in headers and metrics. */
export const tierName: Form<string> = form(text, "1 to 32 lower-case letters, digits or -, a letter first", (value) =>
  /^[a-z][a-z0-9-]{0,31}$/.test(value) ? value : undefined
)

export const anyText: Form<string> = form(text, "a text", (value) => value)

// -----------------------------------------------------------------------------
// Secrets
// -----------------------------------------------------------------------------

export const redisUrl: Form<Redacted.Redacted> = form(
  secretText,
  "the URL of a Redis server, redis:// or rediss://",
  (value) => {
    const url = URL.parse(value)
    return (url?.protocol === "redis:" || url?.protocol === "rediss:") && url.hostname !== ""
      ? Redacted.make(value, { label: "redis" })
      : undefined
  }
)

export const secret: Form<Redacted.Redacted> = form(
  secretText,
  `letters, digits and -._~+/= without blanks (RFC 6750)`,
  (value) => (/^[A-Za-z0-9._~+/-]+=*$/.test(value) ? Redacted.make(value, { label: "token" }) : undefined)
)

export const accessKey: Form<Redacted.Redacted> = form(secretText, "the key as it was handed out", (value) =>
  /^\S{1,4096}$/.test(value) ? Redacted.make(value, { label: "s3" }) : undefined
)

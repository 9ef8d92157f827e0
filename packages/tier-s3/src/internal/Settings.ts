/**
 * Options with their defaults, checked.
 */
import * as Body from "@terrace/core/Body"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Credentials, Options } from "../Options.ts"
import { StartError } from "../StartError.ts"

export interface Settings {
  readonly name: string
  /** For messages: where the objects are. */
  readonly location: string
  readonly bucket: string
  readonly region: string | undefined
  readonly endpoint: string | undefined
  readonly publicEndpoint: string | undefined
  readonly cdnUrl: string | undefined
  readonly forcePathStyle: boolean
  /** Empty, or ends with `/`. */
  readonly prefix: string
  readonly credentials: Credentials | undefined
  readonly createBucket: boolean
  readonly ifUnreachable: "fail" | "warn"
  readonly conditionalWrites: boolean
  readonly atomicRemovals: boolean
  readonly inlineBelow: number
  readonly maxBytes: number | undefined
  readonly multipartFrom: number
  readonly partBytes: number
  readonly concurrency: number
  readonly maxStreams: number
  readonly maxWaiting: number
  readonly connectMillis: number
  readonly requestTimeout: Duration.Duration
}

/** Smallest and largest part but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html. */
const minPartBytes = 5_242_880
const maxPartBytes = 5_368_709_120

/** A key has at most 1,024 bytes, of which group, name and the slash between them take up to 249. */
const maxPrefixLength = 700

/** What URLs, proxies and consoles leave as it is: no empty segment, none of dots only. */
const prefixPattern = /^((?!\.+\/)[A-Za-z0-9!_.*'()-]+\/)+$/
const bucketPattern = /^([A-Za-z0-9][A-Za-z0-9._-]{1,254}|arn:[A-Za-z0-9:/._-]+)$/

const isCount = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least

export const locationOf = ({ bucket, endpoint, prefix = "" }: Options): string =>
  `s3://${bucket}/${prefix}${endpoint === undefined ? "" : ` at ${endpoint}`}`

export const resolve = (options: Options): Effect.Effect<Settings, StartError> => {
  const invalid = (name: keyof Options, expected: string) =>
    Effect.fail(
      new StartError({
        location: locationOf(options),
        reason: "invalid-option",
        detail: `${name} is ${JSON.stringify(options[name])}`,
        fix: `Set it to ${expected}`
      })
    )
  const {
    bucket,
    endpoint,
    prefix = "",
    inlineBelow = Body.inlineBelow,
    maxBytes,
    multipartFrom = 8_388_608,
    partBytes = 8_388_608,
    concurrency = 64,
    maxStreams = 64,
    maxWaiting = 256
  } = options
  if (!bucketPattern.test(bucket)) return invalid("bucket", `the name of a bucket, for example "my-images"`)
  if (bucket.endsWith("--x-s3")) {
    return invalid("bucket", `a general purpose bucket, for example "my-images": directory buckets list in no order`)
  }
  if (prefix !== "" && (!prefixPattern.test(prefix) || prefix.length > maxPrefixLength)) {
    return invalid("prefix", `text that ends with "/", for example "images/", of at most ${maxPrefixLength} characters`)
  }
  for (const name of ["endpoint", "publicEndpoint", "cdnUrl"] as const) {
    const url = options[name]
    if (url !== undefined && !isHttp(url)) return invalid(name, `a URL, for example "https://s3.example.com"`)
  }
  if (!isCount(inlineBelow, 1))
    return invalid("inlineBelow", "a number of bytes above 0, for example 1048576 for 1 MiB")
  if (maxBytes !== undefined && !isCount(maxBytes, 1)) {
    return invalid("maxBytes", "a number of bytes above 0, for example 52428800 for 50 MiB")
  }
  if (!isCount(multipartFrom, 1)) {
    return invalid("multipartFrom", "a number of bytes above 0, for example 8388608 for 8 MiB")
  }
  if (!isCount(partBytes, minPartBytes) || partBytes > maxPartBytes) {
    return invalid("partBytes", "a number of bytes from 5 MiB to 5 GiB, for example 8388608 for 8 MiB")
  }
  if (!isCount(concurrency, 1)) return invalid("concurrency", "a number above 0, for example 64")
  if (!isCount(maxStreams, 1)) return invalid("maxStreams", "a number above 0, for example 64")
  if (!isCount(maxWaiting, 0)) return invalid("maxWaiting", "a number, for example 256; 0: nobody waits")
  const connectTimeout = positive(options.connectTimeout ?? "3 seconds")
  const requestTimeout = positive(options.requestTimeout ?? "20 seconds")
  if (connectTimeout === undefined) return invalid("connectTimeout", `a duration above 0, for example "3 seconds"`)
  if (requestTimeout === undefined) return invalid("requestTimeout", `a duration above 0, for example "20 seconds"`)
  return Effect.succeed({
    name: options.name ?? "s3",
    location: locationOf(options),
    bucket,
    region: options.region ?? (endpoint === undefined ? undefined : "us-east-1"),
    endpoint,
    publicEndpoint: options.publicEndpoint,
    cdnUrl: options.cdnUrl,
    forcePathStyle: options.forcePathStyle ?? false,
    prefix,
    credentials: options.credentials,
    createBucket: options.createBucket ?? false,
    ifUnreachable: options.ifUnreachable ?? "fail",
    conditionalWrites: options.conditionalWrites ?? true,
    atomicRemovals: options.atomicRemovals ?? options.endpoint === undefined,
    inlineBelow,
    maxBytes,
    multipartFrom,
    partBytes,
    concurrency,
    maxStreams,
    maxWaiting,
    connectMillis: Duration.toMillis(connectTimeout),
    requestTimeout
  })
}

const isHttp = (url: string): boolean => /^https?:\/\/[^/\s?#]+\/?[^\s?#]*$/.test(url) && URL.canParse(url)

const positive = (input: Duration.Input): Duration.Duration | undefined => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  return duration !== undefined && Duration.toMillis(duration) > 0 ? duration : undefined
}

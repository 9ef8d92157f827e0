/**
 * A deployment of the image server: one schema for the file that describes it.
 *
 * The encoded form is what a file says, the decoded form what the server is built from. `{}` is a deployment too: one
 * node, its images in memory and on the disk. Where the file comes from, and what overrides it: `Load.ts`.
 */
import * as Preset from "@terrace/image/Preset"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { Chains } from "./ChainConfig.ts"
import * as Form from "./internal/Form.ts"
import {
  annotationsOf,
  codec,
  defaulting,
  type Doc,
  documented,
  optional,
  plain,
  required,
  schemasOf,
  section,
  withDefault
} from "./internal/field.ts"
import { onDisk } from "./internal/layouts.ts"
import { TierConfig } from "./TierConfig.ts"
import { isDeepStrictEqual } from "node:util"

// -----------------------------------------------------------------------------
// Sections
// -----------------------------------------------------------------------------

export const topFields = {
  dataDir: withDefault(Form.path, "./data", {
    meaning:
      "Directory of the images, kept between starts and created if missing; a relative path begins at the working directory.",
    example: "/var/lib/terrace"
  }),
  bus: withDefault(Form.onOff, "on", {
    meaning: "Whether nodes tell each other of their writes through Redis; where there is none, nothing is told.",
    example: "off"
  }),
  leases: withDefault(Form.onOff, "on", {
    meaning: "Whether, by Redis, one node at a time makes what all would make.",
    example: "off"
  })
}

export const serverFields = {
  host: withDefault(Form.address, "127.0.0.1", {
    meaning: "Address to listen on. Without a token it must be a loopback address.",
    example: "0.0.0.0"
  }),
  port: withDefault(Form.wholeNumber(0, 65_535), "8080", {
    meaning: "Port to listen on; 0 takes any free one.",
    example: "8080"
  }),
  token: optional(Form.secret, {
    meaning: "Secret that writes and operations need, sent as Authorization: Bearer; without one, loopback only.",
    example: "3f9c2a7e51d84b06"
  }),
  maxAge: withDefault(Form.seconds(31_536_000), "3600", {
    meaning: "Seconds that browsers and proxies may keep an image without asking (Cache-Control: max-age).",
    example: "86400"
  }),
  resourcePolicy: withDefault(Form.oneOf(["cross-origin", "same-site", "same-origin"]), "cross-origin", {
    meaning: "Which pages may embed images: all, those of the same site, those of the same origin.",
    example: "same-site"
  })
}

export const imagesFields = {
  quality: withDefault(Form.wholeNumber(1, 100), "85", { meaning: "WebP quality of masters.", example: "90" }),
  effort: withDefault(Form.wholeNumber(0, 6), "4", {
    meaning: "WebP effort of masters: 0 is fast, 6 gives the smallest files.",
    example: "6"
  }),
  keepOriginal: withDefault(Form.onOff, "off", {
    meaning: "Whether the uploaded bytes are kept beside the WebP master.",
    example: "on"
  })
}

export const limitsFields = {
  uploadBytes: withDefault(Form.byteSize(1, 268_435_456), "50MiB", {
    meaning: "Largest upload, decoded; a larger one is refused before it is read.",
    example: "20MB"
  }),
  uploadsUnderWay: withDefault(Form.byteSize(1_048_576), "256MiB", {
    meaning:
      "Bytes of uploads in flight, all together; what finds no room is answered 429. At least one upload always fits.",
    example: "512MiB"
  }),
  inputPixels: withDefault(Form.wholeNumber(1, 1_000_000_000), "50000000", {
    meaning: "Most pixels of an upload, over all frames.",
    example: "25000000"
  }),
  frames: withDefault(Form.wholeNumber(1, 100_000), "1000", {
    meaning: "Most frames of an animation.",
    example: "100"
  }),
  outputPixels: withDefault(Form.wholeNumber(1, 1_000_000_000), "25000000", {
    meaning: "Most pixels of a variant, over all frames.",
    example: "10000000"
  }),
  outputSide: withDefault(Form.wholeNumber(1, 16_383), "8192", {
    meaning: "Most pixels of the longer side of a variant.",
    example: "4096"
  }),
  imageTime: withDefault(Form.periodWithin("100 millis", "10 minutes"), "10 seconds", {
    meaning: "Time that the work on one image may take, not counting its wait.",
    example: "5 seconds"
  }),
  queue: withDefault(Form.wholeNumber(0, 1_000_000), "512", {
    meaning: "Images that may wait to be worked on.",
    example: "1000"
  }),
  queueTime: withDefault(Form.periodWithin("1 millis", "10 minutes"), "20 seconds", {
    meaning: "Time that one of them may wait; then it is answered 429.",
    example: "5 seconds"
  })
}

export const redisFields = {
  url: required(Form.redisUrl, {
    meaning:
      "Redis that has a small record of each image, and still has old images as base64; it also tells the nodes of each other's writes.",
    example: "redis://127.0.0.1:6379"
  }),
  cluster: withDefault(Form.onOff, "off", {
    meaning: "Whether the URL names a node of a Redis Cluster.",
    example: "on"
  })
}

export const catalogFields = {
  ttl: withDefault(Form.seconds(31_536_000), "7200", {
    meaning: "Seconds that the record of an upload stays in Redis; what it says, the stored image says too.",
    example: "1 day"
  })
}

export const legacyFields = {
  keepOriginal: withDefault(Form.onOff, "on", {
    meaning:
      "Whether the decoded bytes of an old record are kept beside the WebP: the base64, which goes, is the only original.",
    example: "off"
  })
}

const deliveryMode = Form.oneOf(["proxy", "redirect"])

export const deliveryFields = {
  mode: withDefault(deliveryMode, "proxy", {
    meaning:
      "How large images reach clients: through this server, or by a redirect to the CDN or to a signed URL of the bucket.",
    example: "redirect"
  }),
  above: withDefault(Form.byteSize(0), "1MiB", {
    meaning: "Size from which on images are redirected, where they are; smaller ones come from here. 0 redirects all.",
    example: "256KiB"
  }),
  expiry: withDefault(Form.periodWithin("1 second", "7 days"), "5 minutes", {
    meaning: "How long a signed URL is good for.",
    example: "1 hour"
  }),
  cdnUrl: optional(Form.publicUrl, {
    meaning: "Address of a CDN in front of the bucket: redirects go there, without a signature.",
    example: "https://cdn.example.com"
  })
}

export const presetFields = {
  width: optional(Form.wholeNumber(1, 16_383), {
    meaning: "Pixels; without it, it follows from the height.",
    example: "800"
  }),
  height: optional(Form.wholeNumber(1, 16_383), {
    meaning: "Pixels; without it, it follows from the width.",
    example: "600"
  }),
  fit: withDefault(Form.oneOf(Preset.Fit.literals), "inside", {
    meaning: "How the image meets the box of both.",
    example: "cover"
  }),
  quality: withDefault(Form.wholeNumber(1, 100), "80", { meaning: "Of the format's own encoder.", example: "70" }),
  format: withDefault(Form.oneOf(Preset.OutputFormat.literals), "webp", { meaning: "Format.", example: "avif" }),
  enlarge: withDefault(Form.onOff, "off", {
    meaning: "Whether an image smaller than the box is scaled up.",
    example: "on"
  }),
  delivery: optional(deliveryMode, { meaning: "As `delivery.mode`, for this preset.", example: "redirect" })
}

// -----------------------------------------------------------------------------
// Schema
// -----------------------------------------------------------------------------

/** A section that is `on` with its defaults, which is what it is if it is left out, `off`, or written out. */
const switchable = <S extends Schema.Codec<object, unknown>>(fields: S, doc: Doc) => {
  const defaults: S["Type"] = Schema.decodeUnknownSync(fields)({})
  const isDefault = Schema.makeFilter<S["Type"]>((value) => isDeepStrictEqual(value, defaults))
  const spelled: Form.Form<S["Type"] | "off"> = {
    ...Form.onOff,
    type: Schema.Union([Schema.Literal("off"), Schema.toType(fields).check(isDefault)]),
    read: (text) => Option.map(Form.onOff.read(text), (isOn) => (isOn ? defaults : "off")),
    write: (value) => (value === "off" ? "off" : "on")
  }
  const union: Schema.Codec<S["Type"] | "off", Form.Scalar | S["Encoded"]> = Schema.Union([
    codec(spelled, doc),
    fields
  ]).annotate(annotationsOf(doc))
  return union.pipe(Schema.withDecodingDefaultTypeKey<typeof union>(Effect.succeed(defaults)))
}

/** `thumb` is there unless a file has its own. */
const thumb: typeof PresetConfig.Type = { ...Preset.thumb }

const PresetConfig = section("A variant with a name.", schemasOf(presetFields))
export type PresetConfig = typeof PresetConfig.Type

const Presets = documented(Schema.Record(Schema.String, PresetConfig), {
  meaning: "Variants by name, as `?preset=` asks for them. `thumb`, at most 256 × 256, is there by default.",
  expected: "names with keys below them"
}).pipe(
  Schema.decodeTo(Schema.toType(Schema.Record(Schema.String, PresetConfig)), {
    decode: SchemaGetter.transform((given: Readonly<Record<string, PresetConfig>>) => ({ thumb, ...given })),
    encode: SchemaGetter.passthrough()
  })
)

const Tiers = documented(Schema.Record(Schema.String, TierConfig), {
  meaning: "Tiers by name. Without them and `chains`: memory and the disk, or a bucket if the environment names one.",
  expected: "names with keys below them",
  example: "{ memory: { type: memory } }"
})

export const Deployment = section("A deployment of the image server.", {
  /** For editors; not read. */
  $schema: Schema.optionalKey(Schema.String),
  dataDir: topFields.dataDir.schema,
  server: defaulting(section("How it is reached.", schemasOf(serverFields)), {}),
  images: defaulting(section("How masters are made.", schemasOf(imagesFields)), {}),
  limits: defaulting(section("What one client, or all of them, may take.", schemasOf(limitsFields)), {}),
  redis: Schema.optionalKey(
    section("Redis, for what is below, and for tiers of the type `redis`.", schemasOf(redisFields))
  ),
  tiers: defaulting(Tiers, onDisk.tiers),
  chains: defaulting(Chains, onDisk.chains),
  catalog: switchable(section("A small record of each image in Redis.", schemasOf(catalogFields)), {
    ...plain,
    meaning: "A small record of each image in Redis; where there is no Redis, there are none.",
    expected: "on, off, or keys below it (ttl)",
    example: "{ ttl: 1 day }",
    default: "on"
  }),
  legacy: switchable(section("Old images as base64 in Redis.", schemasOf(legacyFields)), {
    ...plain,
    meaning: "Serves the old images that Redis still has as base64; where there is no Redis, there are none.",
    expected: "on, off, or keys below it (keepOriginal)",
    example: "{ keepOriginal: off }",
    default: "on"
  }),
  bus: topFields.bus.schema,
  leases: topFields.leases.schema,
  delivery: defaulting(section("Who sends the bytes.", schemasOf(deliveryFields)), {}),
  presets: defaulting(Presets, {})
})
export type Deployment = typeof Deployment.Type

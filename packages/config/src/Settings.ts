/**
 * Environment variables that override the file: the one table of them.
 *
 * Each is bound to a place of the schema, whose form, default and meaning it has. What is said of a tier is bound to the one
 * tier of that kind and use; where a file has none or several of them, that is a problem. A variable that is empty or
 * blank counts as not set.
 */
import * as Option from "effect/Option"
import * as Deployment from "./Deployment.ts"
import { chainFields } from "./ChainConfig.ts"
import * as Checks from "./internal/checks.ts"
import type { Doc } from "./internal/field.ts"
import type { Form } from "./internal/Form.ts"
import * as Layouts from "./internal/layouts.ts"
import type { Environment } from "./internal/Substitution.ts"
import * as Tree from "./internal/Tree.ts"
import * as Uses from "./internal/Uses.ts"
import * as TierConfig from "./TierConfig.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** One variable, as data for documentation. */
export interface Setting {
  readonly name: string
  /** Its place in a file. */
  readonly key: string
  /** Value that is used if neither it nor a file says one; undefined: none. */
  readonly default: string | undefined
  readonly meaning: string
  /** What a value looks like. */
  readonly expected: string
  readonly example: string
}

interface Definition extends Setting {
  readonly form: Pick<Form<unknown>, "read" | "isSecret">
  readonly bind: (tree: unknown) => Binding
}

type Binding =
  | { readonly _tag: "Paths"; readonly paths: ReadonlyArray<Tree.Path> }
  /** Nothing is there that it could say something of. */
  | { readonly _tag: "None" }
  /** A file has as many as `found` of what it could say something of. */
  | { readonly _tag: "NotOne"; readonly found: string; readonly expected: string }

// -----------------------------------------------------------------------------
// Bindings
// -----------------------------------------------------------------------------

const paths = (...paths: ReadonlyArray<Tree.Path>): Binding => ({ _tag: "Paths", paths })
const none: Binding = { _tag: "None" }

const at =
  (...path: ReadonlyArray<string>) =>
  () =>
    paths(path)

/** In a section that is there for Redis only. */
const withRedis =
  (...path: ReadonlyArray<string>) =>
  (tree: unknown) =>
    Tree.isSection(Tree.get(tree, ["redis"])) ? paths(path) : none

/** In a section that is of use for what lies in a bucket only. */
const withBucket =
  (...path: ReadonlyArray<string>) =>
  (tree: unknown): Binding =>
    Uses.tiersOfType(tree, "s3").length > 0
      ? paths(path)
      : { _tag: "NotOne", found: "none", expected: "a tier of the type s3" }

/** In a section that may be `on` or `off` as a whole. */
const inSwitchable = (section: string, key: string) => (tree: unknown) => {
  const value = Tree.get(tree, [section])
  return value === undefined || Tree.isSection(value) || Checks.isOn(value) ? withRedis(section, key)(tree) : none
}

const exactlyOne = (tiers: ReadonlyArray<string>, what: string, key: string): Binding => {
  const [tier] = tiers
  return tier !== undefined && tiers.length === 1
    ? paths(["tiers", tier, key])
    : { _tag: "NotOne", found: tiers.length === 0 ? "none" : tiers.join(" and "), expected: what }
}

const memory = (key: string) => (tree: unknown) => exactlyOne(Uses.tiersOfType(tree, "memory"), "one memory tier", key)

const storeOf = (type: string, key: string) => (tree: unknown) => {
  const store = Uses.storeIn(tree)
  const tiers = Uses.tiersOfType(tree, type).filter((tier) => tier === store)
  return exactlyOne(tiers, `a tier of the type ${type} as the store of masters`, key)
}

const diskCache = (key: string) => (tree: unknown) => {
  const store = Uses.storeIn(tree)
  return exactlyOne(
    Uses.tiersOfType(tree, "filesystem").filter((tier) => tier !== store),
    "one filesystem tier that is a cache",
    key
  )
}

const everyDisk = (key: string) => (tree: unknown) => {
  const tiers = Uses.tiersOfType(tree, "filesystem")
  return tiers.length === 0
    ? exactlyOne(tiers, "a filesystem tier", key)
    : paths(...tiers.map((tier) => ["tiers", tier, key]))
}

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

interface Named {
  readonly form: Definition["form"]
  readonly doc: Doc
}

const define = (
  name: string,
  key: string,
  { doc, form }: Named,
  bind: Definition["bind"],
  own: { readonly default?: string; readonly meaning?: string; readonly example?: string } = {}
): Definition => ({
  name,
  key,
  default: own.default ?? doc.default,
  meaning: own.meaning ?? doc.meaning,
  expected: doc.expected,
  example: own.example ?? doc.example ?? "",
  form,
  bind
})

const {
  catalogFields,
  deliveryFields,
  imagesFields,
  legacyFields,
  limitsFields,
  redisFields,
  serverFields,
  topFields
} = Deployment
const { filesystemFields, memoryFields, s3Fields } = TierConfig

const bucket = define("TERRACE_S3_BUCKET", "tiers.<store>.bucket", s3Fields.bucket, storeOf("s3", "bucket"), {
  meaning:
    "S3 bucket that keeps the masters, for any number of nodes; without a file, the data directory is a cache then. Credentials as the AWS SDK finds them, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
})

/** What is said of the bucket of the masters: without one, and without a file, it is said of nothing. */
const ofBucket = [
  define("TERRACE_S3_ENDPOINT", "tiers.<store>.endpoint", s3Fields.endpoint, storeOf("s3", "endpoint")),
  define("TERRACE_S3_REGION", "tiers.<store>.region", s3Fields.region, storeOf("s3", "region"), {
    meaning: "Region of the bucket. Without it, what the SDK finds; with TERRACE_S3_ENDPOINT, us-east-1."
  }),
  define("TERRACE_S3_PREFIX", "tiers.<store>.prefix", s3Fields.prefix, storeOf("s3", "prefix"))
]

const cdnUrl = define("TERRACE_CDN_URL", "delivery.cdnUrl", deliveryFields.cdnUrl, withBucket("delivery", "cdnUrl"))

const definitions: ReadonlyArray<Definition> = [
  define("TERRACE_HOST", "server.host", serverFields.host, at("server", "host"), {
    meaning: "Address to listen on. Without TERRACE_TOKEN it must be a loopback address."
  }),
  define("TERRACE_PORT", "server.port", serverFields.port, at("server", "port")),
  define("TERRACE_DATA_DIR", "dataDir", topFields.dataDir, at("dataDir")),
  define("TERRACE_TOKEN", "server.token", serverFields.token, at("server", "token")),
  define("TERRACE_MEMORY_MAX_BYTES", "tiers.<memory>.maxBytes", memoryFields.maxBytes, memory("maxBytes")),
  define(
    "TERRACE_STORE_MAX_BYTES",
    "tiers.<store>.maxBytes",
    filesystemFields.maxBytes,
    storeOf("filesystem", "maxBytes"),
    {
      meaning:
        "Budget of the stored masters; when it is used up, uploads are refused. Without it the disk is the limit."
    }
  ),
  define("TERRACE_DISK_MAX_BYTES", "tiers.<disk cache>.maxBytes", filesystemFields.maxBytes, diskCache("maxBytes"), {
    default: Layouts.onDisk.tiers.variants.maxBytes,
    meaning:
      "Budget of the disk cache, which holds variants, and masters too where a bucket keeps them; when it is used up, the coldest are dropped.",
    example: "5GiB"
  }),
  define("TERRACE_DISK_MAX_AGE", "tiers.<disk cache>.maxAge", filesystemFields.maxAge, diskCache("maxAge"), {
    default: Layouts.onDisk.tiers.variants.maxAge,
    meaning: "Age from which the disk cache drops what it holds; 0 keeps it whatever its age."
  }),
  define("TERRACE_SWEEP_EVERY", "tiers.<every disk>.sweepEvery", filesystemFields.sweepEvery, everyDisk("sweepEvery")),
  define("TERRACE_KEEP_ORIGINAL", "images.keepOriginal", imagesFields.keepOriginal, at("images", "keepOriginal")),
  define("TERRACE_QUALITY", "images.quality", imagesFields.quality, at("images", "quality")),
  define("TERRACE_EFFORT", "images.effort", imagesFields.effort, at("images", "effort")),
  define("TERRACE_MAX_AGE", "server.maxAge", serverFields.maxAge, at("server", "maxAge")),
  define("TERRACE_MAX_UPLOAD_BYTES", "limits.uploadBytes", limitsFields.uploadBytes, at("limits", "uploadBytes")),
  define(
    "TERRACE_RESOURCE_POLICY",
    "server.resourcePolicy",
    serverFields.resourcePolicy,
    at("server", "resourcePolicy")
  ),
  bucket,
  ...ofBucket,
  define(
    "TERRACE_REVALIDATE_AFTER",
    "chains.masters.revalidateAfter",
    chainFields.revalidateAfter,
    at("chains", "masters", "revalidateAfter"),
    {
      meaning:
        "How long a cached master counts as what the bucket has: the longest that this node serves an image after another has replaced it, when a message was lost."
    }
  ),
  define("TERRACE_REDIS_URL", "redis.url", redisFields.url, at("redis", "url")),
  define("TERRACE_REDIS_CLUSTER", "redis.cluster", redisFields.cluster, withRedis("redis", "cluster"), {
    meaning: "Whether TERRACE_REDIS_URL names a node of a Redis Cluster."
  }),
  define("TERRACE_RECORD_TTL", "catalog.ttl", catalogFields.ttl, inSwitchable("catalog", "ttl")),
  define(
    "TERRACE_LEGACY_KEEP_ORIGINAL",
    "legacy.keepOriginal",
    legacyFields.keepOriginal,
    inSwitchable("legacy", "keepOriginal")
  ),
  define("TERRACE_DELIVERY", "delivery.mode", deliveryFields.mode, at("delivery", "mode")),
  define("TERRACE_DELIVERY_ABOVE", "delivery.above", deliveryFields.above, at("delivery", "above")),
  define("TERRACE_DELIVERY_EXPIRY", "delivery.expiry", deliveryFields.expiry, at("delivery", "expiry")),
  cdnUrl
]

/** Every variable, in the order of the documentation. */
export const settings: ReadonlyArray<Setting> = definitions

/** Names of this shape that are no variable, and that no file uses: probably mistyped. */
export const unknownNames = (names: Iterable<string>, used: ReadonlySet<string> = new Set()): ReadonlyArray<string> =>
  Array.from(names).filter(
    (name) => name.startsWith("TERRACE_") && !used.has(name) && !definitions.some((setting) => setting.name === name)
  )

// -----------------------------------------------------------------------------
// Overriding
// -----------------------------------------------------------------------------

export interface Overridden {
  readonly tree: unknown
  readonly variables: ReadonlyArray<{ readonly path: Tree.Path; readonly name: string; readonly example: string }>
  /** In the words of the variables. */
  readonly problems: ReadonlyArray<string>
}

/**
 * The tree with what the environment says.
 *
 * Where the tree has neither tiers nor chains, it gets those of a node with its images on the disk, or of one with a bucket,
 * if the environment names one; variables for tiers that are not among those then say nothing.
 */
export const override = (source: unknown, environment: Environment, file: string | undefined): Overridden => {
  const given = (name: string) => environment[name]?.trim() ?? ""
  const isOwnLayout = Tree.get(source, ["tiers"]) === undefined && Tree.get(source, ["chains"]) === undefined
  const isBucketNamed = given(bucket.name) !== ""
  const problems: Array<string> = []
  const variables: Array<Overridden["variables"][number]> = []
  let tree = source
  if (isOwnLayout && Tree.isSection(source)) {
    tree = { ...source, ...(isBucketNamed ? Layouts.inBucket : Layouts.onDisk) }
  }

  for (const definition of definitions) {
    const { example, form, name } = definition
    const text = given(name)
    if (text === "") continue
    const binding = definition.bind(tree)
    if (binding._tag === "Paths") {
      for (const path of binding.paths) {
        tree = Tree.set(tree, path, text)
        variables.push({ path, name, example })
      }
      continue
    }
    if (Option.isNone(form.read(text))) {
      const found = form.isSecret ? "cannot be used as it is" : `is ${JSON.stringify(text.slice(0, 100))}`
      problems.push(`${name} ${found}: expected ${definition.expected}, for example ${example}`)
    } else if (isOwnLayout && !isBucketNamed && [...ofBucket, cdnUrl].includes(definition)) {
      problems.push(
        `${name} is set, but ${bucket.name} is not: expected the name of a bucket, for example ${bucket.example}`
      )
    } else if (!isOwnLayout && binding._tag === "NotOne") {
      problems.push(
        `${name} is set, but ${file ?? "the deployment"} has ${binding.found} to apply it to: expected ${binding.expected}, or the value in the file, for example ${definition.key}: ${example}`
      )
    }
  }
  return { tree, variables, problems }
}

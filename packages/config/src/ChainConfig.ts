/**
 * Chains of a deployment, as a file names them: which tiers, in which order, and how each is used.
 */
import type * as Policy from "@terrace/core/Policy"
import type { TierError } from "@terrace/core/TierError"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Form from "./internal/Form.ts"
import {
  annotationsOf,
  annotationsOfMissing,
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
import type { TierConfig } from "./TierConfig.ts"

// -----------------------------------------------------------------------------
// Schema
// -----------------------------------------------------------------------------

const deadline = Form.periodWithin("1 millis", "10 minutes")

/** `off`, or a section. */
const offOr = <S extends Schema.Top>(schema: S, doc: Doc) =>
  Schema.Union([codec(Form.off, doc), schema]).annotate(annotationsOf(doc))

const retryFields = {
  times: withDefault(Form.wholeNumber(1, 10), "2", { meaning: "How often a call is made again.", example: "3" }),
  delay: withDefault(Form.periodWithin("1 millis", "1 minute"), "100 millis", {
    meaning: "Time before the first repetition, give or take a fifth; doubled with every one.",
    example: "50 millis"
  })
}

const breakerFields = {
  failures: optional(Form.wholeNumber(1, 1_000_000), {
    meaning: "Failures in a row after which the tier is not asked for a while. Without it 5.",
    example: "10"
  }),
  openFor: optional(Form.periodWithin("1 millis", "1 hour"), {
    meaning: "How long it is not asked. Without it one second, doubled each time, at most 30.",
    example: "5 seconds"
  })
}

const linkFields = {
  tier: required(Form.anyText, { meaning: "Name of the tier under `tiers`.", example: "memory" }),
  deadline: optional(deadline, {
    meaning: "Time that one call may take. Without it 5 seconds, for a bucket 20; none for memory.",
    example: "30 seconds"
  }),
  readDeadline: optional(deadline, {
    meaning: "Time that a reader waits for one call. Without it as `deadline`; for a bucket 2 seconds.",
    example: "1 second"
  }),
  maxBytes: optional(Form.byteSize(1), {
    meaning: "Largest image to copy into this cache. Without it, what the tier takes.",
    example: "1MiB"
  }),
  secondTouch: optional(Form.onOff, {
    meaning: "Whether an image is copied into this cache only when it is asked for the second time.",
    example: "on"
  })
}

export const Link = section("A tier and how the chain uses it.", {
  ...schemasOf(linkFields),
  retry: Schema.optionalKey(
    offOr(section("When to call again after a failure that may pass.", schemasOf(retryFields)), {
      ...plain,
      meaning:
        "When to call again after a failure that may pass. Without it never; a bucket twice, unless it did not answer in time.",
      expected: "off, or keys below it (times, delay)",
      example: "{ times: 2, delay: 100 millis }"
    })
  ),
  breaker: Schema.optionalKey(
    offOr(section("When to stop asking a tier that is unwell.", schemasOf(breakerFields)), {
      ...plain,
      meaning: "When to stop asking a tier that is unwell.",
      expected: "off, or keys below it (failures, openFor)",
      example: "{ failures: 5, openFor: 1 second }"
    })
  )
})
export type Link = typeof Link.Type

const named: Doc = {
  ...plain,
  meaning: "A tier by its name, or with its policy.",
  expected: "the name of a tier, or keys below it with tier",
  example: "memory"
}

/** What a bare name stands for. */
const Bare = Schema.toType(Link).check(Schema.makeFilter((link) => Object.keys(link).length === 1))

const entry = (doc: Doc) =>
  Schema.Union([
    codec<Link>({ ...Form.anyText, type: Bare, read: (tier) => Option.some({ tier }), write: ({ tier }) => tier }, doc),
    Link
  ]).annotate(annotationsOf(doc))

const caches = documented(Schema.Array(entry(named)), {
  meaning: "Caches, fastest first.",
  expected: "a list of tiers",
  example: "[memory]"
})

export const chainFields = {
  revalidateAfter: withDefault(Form.period, "1 minute", {
    meaning:
      "How long a cached master counts as what a shared store has: the longest that this node serves an image after another has replaced it, when a message was lost.",
    example: "10 seconds"
  })
}

const store: Doc = {
  ...plain,
  meaning: "The store.",
  expected: "the name of a filesystem or s3 tier, or keys below it with tier",
  example: "disk"
}

export const Masters = section("Masters and originals: caches over the store, which never forgets.", {
  caches: defaulting(caches, []),
  store: entry(store).pipe(Schema.annotateKey(annotationsOf(store))),
  revalidateAfter: chainFields.revalidateAfter.schema
})

export const Variants = section("Variants, which can be made again.", {
  caches: defaulting(caches, [])
})

const missing = (keys: string, example: string) =>
  annotationsOfMissing({ ...plain, meaning: "", expected: `keys below it (${keys})`, example })

export const Chains = section("Which tiers hold what, and in which order they are asked.", {
  masters: Masters.pipe(
    Schema.annotateKey(missing("caches, store, revalidateAfter", "masters: { caches: [memory], store: disk }"))
  ),
  variants: Variants.pipe(Schema.annotateKey(missing("caches", "variants: { caches: [memory] }")))
})
export type Chains = typeof Chains.Type

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const retrying = ({ delay, times }: Exclude<Link["retry"], "off" | undefined>) =>
  Schedule.max([Schedule.jittered(Schedule.exponential(delay)), Schedule.recurs(times)]).pipe(
    Schedule.setInputType<TierError>()
  )

/**
 * A header, or a small object, takes milliseconds; whoever asks for one has better things to do than to wait for a bucket
 * that takes seconds: after five such answers in a row it is not asked for a while, and caches serve without it. An upload
 * of many megabytes may take long over a slow line and be fine, so it has the time that the tier gives one request.
 */
const ofBucket = {
  deadline: Duration.seconds(20),
  readDeadline: Duration.seconds(2),
  // One answer in thousands is a refusal that passes at once. What has cost a deadline already is not waited for again.
  retry: Schedule.while(
    retrying({ times: 2, delay: Duration.millis(100) }),
    ({ input }: { readonly input: TierError }) => input.reason._tag !== "TimedOut"
  )
}

/** The policy that a link says, over what suits a tier of this type. */
export const policyOf = (type: TierConfig["type"], link: Link): Policy.Policy => {
  const { breaker, maxBytes, retry, secondTouch } = link
  const suitable = type === "s3" ? ofBucket : undefined
  const deadline = link.deadline ?? suitable?.deadline
  return {
    deadline,
    readDeadline: link.readDeadline ?? (suitable && deadline && Duration.min(deadline, suitable.readDeadline)),
    maxBytes,
    secondTouch,
    breaker: breaker === "off" ? false : breaker,
    retry: retry === undefined ? suitable?.retry : retry === "off" ? undefined : retrying(retry)
  }
}

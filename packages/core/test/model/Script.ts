/**
 * What a run of the model does: a composition of tiers with faults, and the steps that drive it.
 */
import * as Schema from "effect/Schema"

const below = (limit: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: limit - 1 }))

/** Index of one of three keys, two of which share a group. */
const KeyIndex = below(3)

/** Lifetime in milliseconds from now on, or none. */
const Lifetime = Schema.NullOr(Schema.Literals([20, 200, 5_000]))

export const Step = Schema.Union([
  Schema.Struct({ _tag: Schema.tag("Get"), key: KeyIndex }),
  Schema.Struct({ _tag: Schema.tag("Get"), key: KeyIndex }),
  Schema.Struct({ _tag: Schema.tag("Head"), key: KeyIndex }),
  Schema.Struct({
    _tag: Schema.tag("GetOrMake"),
    key: KeyIndex,
    fails: Schema.Literals([false, false, false, true]),
    millis: Schema.Literals([0, 10, 80])
  }),
  Schema.Struct({ _tag: Schema.tag("Put"), key: KeyIndex, fresh: Lifetime, lifetime: Lifetime }),
  Schema.Struct({ _tag: Schema.tag("Put"), key: KeyIndex, fresh: Schema.Null, lifetime: Schema.Null }),
  Schema.Struct({ _tag: Schema.tag("Remove"), key: KeyIndex }),
  Schema.Struct({ _tag: Schema.tag("RemoveGroup"), group: below(2) }),
  Schema.Struct({ _tag: Schema.tag("Leave") }),
  /** The reader that has waited longest goes away. */
  Schema.Struct({ _tag: Schema.tag("Leave") }),
  Schema.Struct({ _tag: Schema.tag("Wait"), millis: Schema.Literals([1, 10, 60, 300, 3_000, 70_000]) }),
  /** Faults of one tier (0: memory, 1: disk, 2: store) at a level: 0 none, 3 most, 4 the tier is down. */
  Schema.Struct({ _tag: Schema.tag("Faults"), tier: below(3), level: Schema.Literals([0, 0, 1, 2, 3, 3, 4]) }),
  /** The process is killed, or ends in order; another begins on what its tiers have kept. */
  Schema.Struct({ _tag: Schema.tag("Restart"), isKilled: Schema.Boolean })
])
export type Step = typeof Step.Type

export const Script = Schema.Struct({
  /** Seeds the faults, and the chain's jitter. */
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff })),
  composition: Schema.Literals(["memory-store", "memory-disk-store", "disk-store", "memory-disk"]),
  /** Others write to the store too, or might. */
  isShared: Schema.Boolean,
  /** Tiers outside the process stream every body, in three chunks. */
  streams: Schema.Boolean,
  /** Process memory can be looked into without an effect. */
  peeks: Schema.Boolean,
  /** Tiers never fail and the process goes on, whatever the steps say. */
  isFaultless: Schema.Literals([true, false, false]),
  /** Whether restarts take place. */
  restarts: Schema.Literals([true, false, false]),
  retries: Schema.Boolean,
  secondTouch: Schema.Boolean,
  /** Milliseconds of the clock between two steps. */
  steps: Schema.Array(Schema.Struct({ step: Step, pause: Schema.Literals([0, 0, 0, 1, 5, 30]) })).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(60)
  )
})
export type Script = typeof Script.Type

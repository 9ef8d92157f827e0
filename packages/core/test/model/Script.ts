/**
 * What a run of the model does: a composition of tiers with faults, and the steps that drive it.
 */
import * as Schema from "effect/Schema"

const below = (limit: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: limit - 1 }))

/** Index of one of three keys, two of which share a group. */
const KeyIndex = below(3)

/** Where a step takes place; there is one node unless the script has two. */
const Node = below(2)

/** Lifetime in milliseconds from now on, or none. */
const Lifetime = Schema.NullOr(Schema.Literals([20, 200, 5_000]))

export const Step = Schema.Union([
  Schema.Struct({ _tag: Schema.tag("Get"), key: KeyIndex, node: Node }),
  Schema.Struct({ _tag: Schema.tag("Get"), key: KeyIndex, node: Node }),
  Schema.Struct({ _tag: Schema.tag("Head"), key: KeyIndex, node: Node }),
  Schema.Struct({
    _tag: Schema.tag("GetOrMake"),
    key: KeyIndex,
    fails: Schema.Literals([false, false, false, true]),
    millis: Schema.Literals([0, 10, 80]),
    node: Node
  }),
  Schema.Struct({ _tag: Schema.tag("Put"), key: KeyIndex, fresh: Lifetime, lifetime: Lifetime, node: Node }),
  Schema.Struct({ _tag: Schema.tag("Put"), key: KeyIndex, fresh: Schema.Null, lifetime: Schema.Null, node: Node }),
  Schema.Struct({ _tag: Schema.tag("Remove"), key: KeyIndex, node: Node }),
  Schema.Struct({ _tag: Schema.tag("RemoveGroup"), group: below(2), node: Node }),
  /** A put or remove with a condition. `last`: the generation of the last put that was acknowledged. */
  Schema.Struct({
    _tag: Schema.tag("WriteIf"),
    kind: Schema.Literals(["put", "remove"]),
    key: KeyIndex,
    expected: Schema.Literals(["last", "last", "absent", "another"]),
    node: Node
  }),
  Schema.Struct({ _tag: Schema.tag("Leave") }),
  /** The reader that has waited longest goes away. */
  Schema.Struct({ _tag: Schema.tag("Leave") }),
  Schema.Struct({ _tag: Schema.tag("Wait"), millis: Schema.Literals([1, 10, 60, 300, 3_000, 70_000]) }),
  /** The clocks of all nodes are set back. */
  Schema.Struct({ _tag: Schema.tag("SetBack"), millis: Schema.Literals([3, 700, 3_600_000]) }),
  /** Faults of one tier (0: memory, 1: disk, 2: store) at a level: 0 none, 3 most, 4 the tier is down. */
  Schema.Struct({
    _tag: Schema.tag("Faults"),
    tier: below(3),
    level: Schema.Literals([0, 0, 1, 2, 3, 3, 4]),
    node: Node
  }),
  /** Share of the messages between the nodes that is lost, every other one as a gap. */
  Schema.Struct({ _tag: Schema.tag("Losses"), rate: Schema.Literals([0, 0.3, 1]) }),
  /** The origin gets other content of a key. */
  Schema.Struct({ _tag: Schema.tag("Offer"), key: KeyIndex }),
  /** The content of a key is taken from the origin, and then removed from the chain. */
  Schema.Struct({ _tag: Schema.tag("Withdraw"), key: KeyIndex, node: Node }),
  /** Share of the calls of the origin that fails. */
  Schema.Struct({ _tag: Schema.tag("OriginFaults"), rate: Schema.Literals([0, 0, 0.3, 1]) }),
  /** The process is killed, or ends in order; another begins on what its tiers have kept. */
  Schema.Struct({ _tag: Schema.tag("Restart"), isKilled: Schema.Boolean, node: Node })
])
export type Step = typeof Step.Type

export const Script = Schema.Struct({
  /** Seeds the faults, and the chain's jitter. */
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff })),
  composition: Schema.Literals(["memory-store", "memory-disk-store", "disk-store", "memory-disk"]),
  /** Two nodes over one store, with a bus between them. */
  isTwofold: Schema.Literals([true, false, false]),
  /** Others write to the store too, or might. */
  isShared: Schema.Boolean,
  /** What no tier has may come from an origin; for one node with a store. */
  hasOrigin: Schema.Literals([true, false, false]),
  /** Tiers outside the process stream every body, in three chunks, so many milliseconds apart. */
  streams: Schema.Boolean,
  chunkMillis: Schema.Literals([1, 10]),
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

export const hasStore = ({ composition }: Script): boolean => composition !== "memory-disk"

/** Two nodes need a store to meet in. */
export const isTwofold = (script: Script): boolean => script.isTwofold && hasStore(script)

export const hasOrigin = (script: Script): boolean => script.hasOrigin && hasStore(script) && !script.isTwofold

/**
 * Scripts that have shown bugs, as small as they could be made.
 */
import type { Script, Step } from "./Script.ts"

export interface Regression {
  /** What must not happen. */
  readonly name: string
  readonly script: Script
}

const base = {
  seed: 8,
  composition: "memory-disk-store",
  isTwofold: false,
  isShared: false,
  hasOrigin: false,
  streams: false,
  chunkMillis: 1,
  peeks: false,
  isFaultless: false,
  restarts: false,
  retries: true,
  secondTouch: false
} as const

/** Steps, each with the pause that follows it. */
export const steps = (...all: ReadonlyArray<readonly [Step, Script["steps"][number]["pause"]]>): Script["steps"] =>
  all.map(([step, pause]) => ({ step, pause }))

export const removedBlobRetried: Regression = {
  name: "a removed blob comes back by a retried copy into a cache (seed 1453733252, run 725)",
  script: {
    ...base,
    steps: steps(
      [{ _tag: "Faults", tier: 1, level: 2, node: 0 }, 5],
      [{ _tag: "Get", key: 0, node: 0 }, 0],
      [{ _tag: "GetOrMake", key: 0, fails: false, millis: 80, node: 0 }, 5],
      [{ _tag: "Put", key: 0, fresh: null, lifetime: null, node: 0 }, 1],
      [{ _tag: "Put", key: 1, fresh: null, lifetime: null, node: 0 }, 0],
      [{ _tag: "RemoveGroup", group: 0, node: 0 }, 0],
      [{ _tag: "Remove", key: 0, node: 0 }, 1],
      [{ _tag: "Wait", millis: 300 }, 30]
    )
  }
}

export const regressions: ReadonlyArray<Regression> = [removedBlobRetried]

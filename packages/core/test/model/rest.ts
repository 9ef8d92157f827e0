/**
 * The model at rest: what must hold in the end, once every fault is healed and nothing runs.
 */
import { hash } from "node:crypto"
import type { Key } from "../../src/Key.ts"
import { acknowledgedOf, isLate, isOutdatedBy, sourceOf } from "./check.ts"
import type { History } from "./History.ts"

/** What a tier holds. */
export interface Resting {
  readonly tier: string
  readonly generation: number
  readonly content: string
}

export interface Rest {
  readonly key: Key
  /** Undefined: nothing. */
  readonly stored: Resting | undefined
  readonly cached: ReadonlyArray<Resting>
  /** By node, the generation that `get` answers; undefined: nothing; "never": it does not answer. */
  readonly answered: ReadonlyArray<number | "never" | undefined>
}

/** What must hold at rest, and does not. */
export const violationsAtRest = (rest: Rest, history: History): ReadonlyArray<string> => {
  const broken: Array<string> = []
  const { key, stored } = rest
  for (const answered of rest.answered) {
    if (answered === "never" || (history.hasStore && answered !== stored?.generation)) {
      broken.push(`at rest a read answers what the store has (${stored?.generation}): ${key.text} is ${answered}`)
    }
  }
  // A process that has ended takes its repairs along; what it leaves in a cache, as what another node writes while it is
  // there, is compared when it is met.
  const cached = history.restarts.length === 0 && !history.isTwofold ? rest.cached : []
  for (const { content, generation, tier } of stored === undefined ? cached : [...cached, stored]) {
    const source = sourceOf(hash("sha256", content), key, history)
    for (const write of history.events) {
      const acknowledged = write._tag === "Write" && write.covers(key) ? acknowledgedOf(write) : undefined
      if (acknowledged === undefined || source === undefined || source._tag === "Offer") continue
      if (isOutdatedBy(generation, source, acknowledged) && !isLate(source, acknowledged, history)) {
        broken.push(`at rest no tier has what an acknowledged write took the place of: ${tier} has ${content}`)
      }
    }
  }
  return broken
}

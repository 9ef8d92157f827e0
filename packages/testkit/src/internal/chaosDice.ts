/**
 * Decides what befalls each call of a chaos tier.
 *
 * Idea. One word of the seeded generator is drawn per call, whatever the rates are, and seeds a generator of that call.
 * So the fate of call n depends on the seed, on n and on the rates in force, and on nothing that other calls do.
 */
import type { Operation } from "@terrace/core/TierError"
import type { Fault, Faults, Plan } from "../ChaosTier.ts"
import { mulberry32 } from "./mulberry32.ts"

const answers: ReadonlyArray<Operation> = ["get", "head", "put", "remove", "removeGroup", "usage"]
const writes: ReadonlyArray<Operation> = ["put", "remove", "removeGroup"]
const all: ReadonlyArray<Operation> = [...answers, "scan", "open"]

/** The operations that a fault can strike. The order decides where rates add up to more than 1: the first come first. */
export const strikes: Readonly<Record<Fault, ReadonlyArray<Operation>>> = {
  unavailable: all,
  throttled: all,
  denied: all,
  unknown: all,
  noSpace: ["put"],
  hang: all,
  lateWrite: writes,
  droppedWrite: ["put"],
  lostAnswer: answers,
  corrupt: ["get", "put", "open"],
  gone: ["open"],
  breakStream: ["open", "scan"],
  forget: ["put"],
  delay: all
}

export const names = Object.keys(strikes) as ReadonlyArray<Fault>

/** What befalls one call. */
export interface Fate {
  /** At most one, beside a delay. */
  readonly fault: Exclude<Fault, "delay"> | undefined
  /** Share of the longest delay, above 0 and at most 1; undefined: none. */
  readonly delay: number | undefined
  /** Where in a body, or after how many pieces: 0 or more, below 1. */
  readonly at: number
}

/** Rolls the fate of the next call. */
export const make = (seed: number): ((operation: Operation, plan: Plan) => Fate) => {
  const nextCall = mulberry32(seed)
  return (operation, plan) => {
    const next = mulberry32(nextCall())
    const share = () => next() / 0x1_0000_0000
    const faults: Faults = { ...plan, ...plan[operation] }
    const [pick, isDelayed, delay, at] = [share(), share(), 1 - share(), share()]
    return {
      fault: picked(operation, faults, pick),
      delay: isDelayed < (faults.delay ?? 0) ? delay : undefined,
      at
    }
  }
}

const picked = (operation: Operation, faults: Faults, pick: number): Fate["fault"] => {
  let reached = 0
  for (const fault of names) {
    if (fault === "delay" || !strikes[fault].includes(operation)) continue
    reached += faults[fault] ?? 0
    if (pick < reached) return fault
  }
  return undefined
}

/** Throws a `RangeError` that names the first rate that is none. */
export const check = (plan: Plan): Plan => {
  checkFaults("", plan)
  for (const operation of all) checkFaults(`${operation}.`, plan[operation] ?? {})
  return plan
}

const checkFaults = (path: string, faults: Faults): void => {
  for (const fault of names) {
    const rate = faults[fault] ?? 0
    if (rate >= 0 && rate <= 1) continue
    throw new RangeError(`${path}${fault} is ${rate}: expected a rate from 0 to 1, for example 0.05`)
  }
}

/**
 * Faults of a proxy, checked, with the values for each direction.
 */
import * as Duration from "effect/Duration"
import type { Cut, Faults, Flow } from "../FaultProxy.ts"

export type Direction = "toServer" | "toClient"

/** One direction; times in milliseconds. */
export interface ResolvedFlow {
  readonly latency: number
  readonly jitter: number
  readonly bytesPerSecond: number
  readonly blackHole: boolean
  readonly cutAfter: { readonly bytes: number; readonly how: Cut } | undefined
}

export interface ResolvedFaults extends Readonly<Record<Direction, ResolvedFlow>> {
  readonly connect: Faults["connect"]
}

/** Throws a `RangeError` that names a value out of range. */
export const resolve = (faults: Faults): ResolvedFaults => ({
  connect: faults.connect,
  toServer: resolveFlow({ ...faults, ...faults.toServer }),
  toClient: resolveFlow({ ...faults, ...faults.toClient })
})

const resolveFlow = ({ blackHole = false, bytesPerSecond, cutAfter, jitter, latency }: Flow): ResolvedFlow => {
  if (bytesPerSecond !== undefined && !(bytesPerSecond > 0)) {
    throw new RangeError(`bytesPerSecond is ${bytesPerSecond}; expected a number above 0, such as 10_000`)
  }
  if (cutAfter !== undefined && !(Number.isSafeInteger(cutAfter.bytes) && cutAfter.bytes >= 0)) {
    throw new RangeError(`cutAfter.bytes is ${cutAfter.bytes}; expected a whole number of at least 0, such as 100_000`)
  }
  return {
    latency: millisOf("latency", latency),
    jitter: millisOf("jitter", jitter),
    bytesPerSecond: bytesPerSecond ?? Infinity,
    blackHole,
    cutAfter: cutAfter === undefined ? undefined : { bytes: cutAfter.bytes, how: cutAfter.how ?? "reset" }
  }
}

const millisOf = (name: string, duration: Duration.Input | undefined): number => {
  if (duration === undefined) return 0
  const millis = Duration.toMillis(duration)
  if (!Number.isFinite(millis)) throw new RangeError(`${name} is endless; use blackHole, which passes nothing`)
  return millis
}

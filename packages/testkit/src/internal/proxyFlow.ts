/**
 * One direction of a connection through a fault proxy.
 *
 * One fiber reads and notes when bytes have arrived, another passes them on as the faults of that moment say. Between
 * them lies a queue of few chunks: bytes under way, as a long wire holds them. When it is full nothing is read, and TCP
 * slows the sender. A change of the faults wakes whoever waits for the old ones.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type { Socket } from "node:net"
import type { Cut } from "../FaultProxy.ts"
import type { Direction, ResolvedFlow } from "./proxyFaults.ts"
import { finish, read, write } from "./sockets.ts"

/** What the faults are now. */
export interface Weather {
  readonly of: (direction: Direction) => ResolvedFlow
  /** Number of changes so far. */
  readonly epoch: () => number
  /** Ends with the next change. */
  readonly changed: Effect.Effect<void>
}

export interface Passage {
  readonly direction: Direction
  readonly from: Socket
  readonly to: Socket
  readonly weather: Weather
  /** Called with the length of what was passed on. */
  readonly passed: (bytes: number) => void
  /** Ends the connection; its fiber does it. */
  readonly cut: (how: Cut) => Effect.Effect<void>
}

/** Bytes that have arrived, or the end of them. */
export interface Arrival {
  readonly bytes: Buffer | undefined
  /** By the clock, in milliseconds. */
  readonly at: number
  /** Share of the jitter that this one gets. */
  readonly share: number
}

/** Chunks under way, of at most 64 KiB each. */
const chunksUnderWay = 16
/** A throttled flow passes so many pieces a second, if the bytes suffice. */
const piecesPerSecond = 20

export const wire: Effect.Effect<Queue.Queue<Arrival>> = Queue.bounded(chunksUnderWay)

/** Reads until the end; fails as the socket does. */
export const receive = (from: Socket, onto: Queue.Queue<Arrival>): Effect.Effect<void, Error> =>
  Effect.gen(function* () {
    const bytes = yield* read(from)
    const at = yield* Clock.currentTimeMillis
    yield* Queue.offer(onto, { bytes, at, share: Math.random() })
    return bytes === undefined
  }).pipe(Effect.repeat({ until: (isOver) => isOver }), Effect.asVoid)

/** Passes on what arrives, and the end of it. */
export const deliver = Effect.fnUntraced(function* (
  passage: Passage,
  arrivals: Queue.Queue<Arrival>
): Effect.fn.Return<void, Error> {
  const allowance = makeAllowance(passage)
  while (true) {
    const arrival = yield* Queue.take(arrivals)
    yield* delayed(passage, arrival)
    yield* whileOpen(passage)
    if (arrival.bytes === undefined) return yield* finish(passage.to)
    let rest = arrival.bytes
    while (rest.length > 0) {
      yield* whileOpen(passage)
      const { bytesPerSecond, cutAfter } = passage.weather.of(passage.direction)
      const left = allowance.left()
      const most = Math.max(1, Math.floor(bytesPerSecond / piecesPerSecond))
      const piece = rest.subarray(0, Math.min(most, left, rest.length))
      if (piece.length > 0) {
        yield* write(passage.to, piece)
        passage.passed(piece.length)
        allowance.spend(piece.length)
        rest = rest.subarray(piece.length)
      }
      if (cutAfter !== undefined && piece.length === left) {
        yield* passage.cut(cutAfter.how)
        return yield* Effect.never
      }
      // The time that the piece takes on the wire; a change of the faults ends it.
      if (bytesPerSecond !== Infinity) yield* wait(passage, (piece.length / bytesPerSecond) * 1_000)
    }
  }
})

/** Waits for the latency of the faults that are set then. */
const delayed = Effect.fnUntraced(function* (passage: Passage, arrival: Arrival): Effect.fn.Return<void> {
  while (true) {
    const { jitter, latency } = passage.weather.of(passage.direction)
    const due = arrival.at + latency + arrival.share * jitter
    const left = due - (yield* Clock.currentTimeMillis)
    if (latency + jitter === 0 || left <= 0) return
    yield* wait(passage, left)
  }
})

/** Waits until the flow is no black hole. */
export const whileOpen = ({ direction, weather }: Pick<Passage, "direction" | "weather">): Effect.Effect<void> =>
  Effect.suspend(() => (weather.of(direction).blackHole ? weather.changed : Effect.void)).pipe(
    Effect.repeat({ while: () => weather.of(direction).blackHole }),
    Effect.asVoid
  )

const wait = ({ weather }: Passage, millis: number) => Effect.raceFirst(Effect.sleep(millis), weather.changed)

/** How many bytes `cutAfter` lets pass still: it counts from when it was set, or the connection began. */
const makeAllowance = ({ direction, weather }: Passage) => {
  let epoch = weather.epoch()
  let spent = 0
  return {
    left: (): number => {
      if (epoch !== weather.epoch()) {
        epoch = weather.epoch()
        spent = 0
      }
      return Math.max(0, (weather.of(direction).cutAfter?.bytes ?? Infinity) - spent)
    },
    spend: (bytes: number): void => {
      spent += bytes
    }
  }
}

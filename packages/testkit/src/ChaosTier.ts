/**
 * Any tier, with faults at rates that a test chooses.
 *
 * The same seed and the same sequence of calls give the same faults. A chaos tier keeps the contract: it fails, hangs,
 * forgets and comes late, but it never answers wrong bytes as if they were right, nor says that it stored what it did
 * not. `droppedWrite` is the one exception, for who wants to see what such a tier does to a chain. Time passes by
 * `Effect.sleep`, so that a `TestClock` drives it.
 */
import type { Blob } from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import type { Header } from "@terrace/core/Header"
import type { Key } from "@terrace/core/Key"
import * as Tier from "@terrace/core/Tier"
import {
  Corrupt,
  Denied,
  Gone,
  NoSpace,
  type Operation,
  type Reason,
  Throttled,
  TierError,
  Unavailable,
  Unknown
} from "@terrace/core/TierError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { beforeBreak, beforeDamage, cut, damaged } from "./internal/chaosBody.ts"
import * as Dice from "./internal/chaosDice.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * How often each fault strikes, as a share of the calls that it can strike: 0 (default) to 1.
 *
 * At most one fault strikes a call, beside a delay; where the rates add up to more than 1, the last ones give way.
 * Opening a streamed body is a call (`open`), and so is each run of a `scan`.
 */
export interface Faults {
  /** Any call: fails with `Unavailable`. The tier is not asked. */
  readonly unavailable?: number | undefined
  /** Any call: fails with `Throttled`. The tier is not asked. */
  readonly throttled?: number | undefined
  /** Any call: fails with `Denied`. The tier is not asked. */
  readonly denied?: number | undefined
  /** Any call: fails with `Unknown`; of a write, an unknown outcome. The tier is not asked. */
  readonly unknown?: number | undefined
  /** `put`: fails with `NoSpace`. The tier is not asked. */
  readonly noSpace?: number | undefined
  /** Any call: never answers, and ends only by interruption. The tier is not asked. */
  readonly hang?: number | undefined
  /** `put`, `remove`, `removeGroup`: reaches the tier after `lateBy`, and cannot be interrupted before that. */
  readonly lateWrite?: number | undefined
  /**
   * `put`: answers `Stored` where the tier would have stored, and stores nothing; what it held stays. Breaks the contract,
   * as a disk does that acknowledges what it then loses.
   */
  readonly droppedWrite?: number | undefined
  /** Any call but `scan` and `open`: the tier does it, the caller gets `Unavailable`. Of a write: an unknown outcome. */
  readonly lostAnswer?: number | undefined
  /**
   * `put`: one bit is flipped on the way to the tier, which must refuse. `get`: a hit fails with `Corrupt`. `open`:
   * whole chunks are delivered, then the stream fails with `Corrupt`. What the tier holds stays as it is. See
   * `Options.corrupt` for tiers that answer `Miss`. The last two are counted in `corrupted` of the tier.
   */
  readonly corrupt?: number | undefined
  /** `open`: fails with `Gone` before the first byte. */
  readonly gone?: number | undefined
  /** `open`, `scan`: fails with `Unavailable` after some bytes, or some entries, were delivered. */
  readonly breakStream?: number | undefined
  /** `put`: what was `Stored` is removed at once. For caches: a store never forgets. */
  readonly forget?: number | undefined
  /** Any call: begins after a random time of at most `maxDelay`; another fault may follow. */
  readonly delay?: number | undefined
}

export type Fault = keyof Faults

/** Faults of every operation; a rate under the name of an operation takes its place there. */
export interface Plan extends Faults, Readonly<Partial<Record<Operation, Faults>>> {}

export interface Options {
  /** Any 32-bit integer. */
  readonly seed: number
  readonly faults: Plan
  /** Longest time of a `delay`. Default: 100 milliseconds. */
  readonly maxDelay?: Duration.Input | undefined
  /** How late a `lateWrite` is. Default: one minute. */
  readonly lateBy?: Duration.Input | undefined
  /**
   * What a read that meets `corrupt` answers. `error`: `Corrupt`, as a store that may have had the only copy. `miss`: the
   * blob is removed, then `get` answers `Miss`, and `open` fails with `Gone` before its first byte, as a cache that has set
   * it aside. Default: `error`.
   */
  readonly corrupt?: "error" | "miss" | undefined
}

export interface Chaos {
  /** Has the name and the capabilities of the tier within. */
  readonly tier: Tier.Tier
  /** Faults that have struck so far; counted on, not reset, by `set`. */
  readonly injected: Readonly<Record<Fault, number>>
  /** Calls from now on meet these faults instead; `{}` heals. Dies with a `RangeError` that names a rate out of range. */
  readonly set: (plan: Plan) => Effect.Effect<void>
  /** Calls from now on fail with `Unavailable`, until `up`. What is running goes on. */
  readonly down: Effect.Effect<void>
  readonly up: Effect.Effect<void>
}

// -----------------------------------------------------------------------------
// Constructor
// -----------------------------------------------------------------------------

/**
 * Wraps a tier.
 *
 * Behavior:
 * - a call's fate is decided when its effect runs, or its stream begins, one after another from `seed`.
 * - where no fault strikes, the answer is that of the tier within, unchanged.
 * - offers `peek` if the tier within does: for the plan, a look is a `get`. It can neither wait nor fail, so a fault or a
 *   delay makes it answer `Skipped`, and `corrupt` makes it answer `Miss`.
 * - a late write keeps its fiber until it has landed. A scope that waits for the fiber, as that of a chain does, closes
 *   after that: move the `TestClock` by `lateBy` before.
 * - throws a `RangeError` that names a rate out of range.
 */
export const make = (inner: Tier.Tier, options: Options): Chaos => {
  const maxDelay = Duration.toMillis(options.maxDelay ?? "100 millis")
  const lateBy = Duration.fromInputUnsafe(options.lateBy ?? "1 minute")
  const injected = Object.fromEntries(Dice.names.map((fault) => [fault, 0])) as Record<Fault, number>
  const roll = Dice.make(options.seed)
  const readsMiss = options.corrupt === "miss"
  let corrupted = 0
  let plan = Dice.check(options.faults)
  let isDown = false

  const fails = (fault: Fault, operation: Operation, reason: Reason): Effect.Effect<never, TierError> =>
    Effect.suspend(() => {
      injected[fault]++
      return Effect.fail(new TierError({ tier: inner.name, operation, reason }))
    })

  /** Decides the fate of a call, and does what befalls calls of all kinds; the rest is up to `call`. */
  const befall = <A>(operation: Operation, call: (fate: Dice.Fate) => Effect.Effect<A, TierError>) =>
    Effect.suspend(() => {
      const fate = roll(operation, plan)
      if (isDown) return fails("unavailable", operation, new Unavailable({ cause: "injected: the tier is down" }))
      if (fate.delay === undefined) return met(operation, fate, call)
      injected.delay++
      return Effect.andThen(Effect.sleep(Math.ceil(fate.delay * maxDelay)), met(operation, fate, call))
    })

  const met = <A>(operation: Operation, fate: Dice.Fate, call: (fate: Dice.Fate) => Effect.Effect<A, TierError>) => {
    switch (fate.fault) {
      case "unavailable":
        return fails(fate.fault, operation, new Unavailable({ cause: "injected" }))
      case "throttled":
        return fails(fate.fault, operation, new Throttled({ cause: "injected" }))
      case "denied":
        return fails(fate.fault, operation, new Denied({ cause: "injected" }))
      case "unknown":
        return fails(fate.fault, operation, new Unknown({ cause: "injected" }))
      case "noSpace":
        return fails(fate.fault, operation, new NoSpace({ detail: "injected" }))
      case "hang":
        return Effect.suspend(() => {
          injected.hang++
          return Effect.never
        })
      case "lateWrite":
        return Effect.suspend(() => {
          injected.lateWrite++
          return Effect.uninterruptible(Effect.andThen(Effect.sleep(lateBy), call(fate)))
        })
      case "lostAnswer":
        return Effect.andThen(
          call(fate),
          fails(fate.fault, operation, new Unavailable({ cause: "injected: the answer was lost" }))
        )
      case "corrupt":
      case "gone":
      case "breakStream":
      case "forget":
      case "droppedWrite":
      case undefined:
        return call(fate)
    }
  }

  /** The body of a hit: opening it is a call of its own. */
  const opened = (header: Header, body: Body.Streamed): Body.Streamed =>
    Body.streamed(body.size, (range) =>
      Stream.unwrap(
        befall("open", ({ at, fault }) =>
          Effect.sync(() => {
            const stream = body.open(range)
            const delivered = range ?? { start: 0, end: body.size }
            if (fault === "gone") return Stream.fromEffect(fails(fault, "open", new Gone({ key: header.key.text })))
            if (fault === "corrupt" && readsMiss)
              return Stream.fromEffect(Effect.andThen(setAside(header), gone(header)))
            if (fault === "corrupt") {
              const reason = new Corrupt({ detail: `injected: a chunk of ${header.key.text} is damaged` })
              return cut(stream, beforeDamage(delivered, at), Effect.andThen(count, fails(fault, "open", reason)))
            }
            if (fault === "breakStream") {
              const reason = new Unavailable({ cause: "injected: the stream broke" })
              return cut(stream, beforeBreak(delivered, at), fails(fault, "open", reason))
            }
            return stream
          })
        )
      )
    )

  const answered = (read: Tier.Read): Tier.Read => {
    if (read._tag !== "Hit" || read.blob.body._tag === "Inline") return read
    const { body, header } = read.blob
    return Tier.hit({ header, body: opened(header, body) })
  }

  /** A look that meets a fault says that it cannot say. */
  const looked = (peek: (key: Key) => Tier.Read, key: Key): Tier.Read => {
    const { delay, fault } = roll("get", plan)
    const struck = isDown ? "unavailable" : (fault ?? (delay === undefined ? undefined : "delay"))
    if (struck === undefined) return answered(peek(key))
    if (struck === "corrupt" && peek(key)._tag !== "Hit") return Tier.miss
    injected[struck]++
    return struck === "corrupt" ? Tier.miss : Tier.skipped("busy")
  }

  const count = Effect.sync(() => corrupted++)
  const gone = ({ key }: Header) => fails("corrupt", "open", new Gone({ key: key.text }))
  /** What cannot be removed is found damaged again. */
  const setAside = ({ generation, key }: Header) => Effect.andThen(count, Effect.ignore(inner.remove(key, generation)))

  const { peek } = inner
  const tier: Tier.Tier = {
    ...inner,
    peek: peek && ((key) => looked(peek, key)),
    corrupted: () => (inner.corrupted?.() ?? 0) + corrupted,
    get: (key) =>
      befall("get", ({ fault }) =>
        Effect.flatMap(inner.get(key), (read) => {
          if (read._tag !== "Hit" || fault !== "corrupt") return Effect.succeed(answered(read))
          if (!readsMiss) {
            const reason = new Corrupt({ detail: `injected: ${key.text} is damaged` })
            return Effect.andThen(count, fails(fault, "get", reason))
          }
          injected.corrupt++
          return Effect.as(setAside(read.blob.header), Tier.miss)
        })
      ),
    head: (key) => befall("head", () => inner.head(key)),
    put: (blob, putOptions) =>
      befall("put", ({ at, fault }) => {
        const { body, header } = blob
        if (fault === "corrupt") {
          injected.corrupt++
          return inner.put({ header, body: damaged(body, at) }, putOptions)
        }
        if (fault === "droppedWrite") return dropped(blob, putOptions)
        if (fault !== "forget") return inner.put(blob, putOptions)
        return Effect.tap(inner.put(blob, putOptions), (write) =>
          write._tag === "Stored" ? forget(header) : Effect.void
        )
      }),
    remove: (key, generation) => befall("remove", () => inner.remove(key, generation)),
    removeGroup: (group, generation) => befall("removeGroup", () => inner.removeGroup(group, generation)),
    scan: (scanOptions) =>
      Stream.unwrap(
        befall("scan", ({ at, fault }) =>
          Effect.sync(() => {
            const entries = inner.scan(scanOptions)
            if (fault !== "breakStream") return entries
            const failing = fails(fault, "scan", new Unavailable({ cause: "injected: the listing broke off" }))
            return Stream.concat(Stream.take(entries, 1 + Math.floor(at * mostEntries)), Stream.fromEffect(failing))
          })
        )
      ),
    usage: befall("usage", () => inner.usage)
  }

  /** What the tier within would answer, were it to store; a body is taken as by a tier that does. */
  const dropped = Effect.fnUntraced(function* ({ body, header }: Blob, putOptions: Tier.PutOptions | undefined) {
    const head = yield* inner.head(header.key)
    const current = head._tag === "Hit" ? head.header : undefined
    const refusal = Tier.refusal(header, current, putOptions?.expected)
    if (refusal !== undefined) return refusal
    yield* Stream.runDrain(Body.toStream(body))
    injected.droppedWrite++
    return Tier.stored
  })

  /** A removal that fails leaves the blob where it is: the fault has not struck. */
  const forget = (header: Header) =>
    Effect.match(inner.remove(header.key, header.generation), {
      onFailure: () => undefined,
      onSuccess: (removal) => {
        if (removal._tag === "Removed") injected.forget++
      }
    })

  return {
    tier,
    injected,
    set: (next) =>
      Effect.sync(() => {
        plan = Dice.check(next)
      }),
    down: Effect.sync(() => {
      isDown = true
    }),
    up: Effect.sync(() => {
      isDown = false
    })
  }
}

/** Most entries that a listing delivers before it breaks off. */
const mostEntries = 16

/**
 * Streamed bodies as a chain hands them out.
 *
 * Each reader opens a stream of its own; one who reads the whole takes a copy along for the faster caches. Until the first
 * bytes are there, opening is a call to the tier like others, under its policy, and a tier that fails is passed over for
 * one that has the same bytes. After that nothing takes its place: each further pull has the tier's deadline, and what
 * fails, fails the reader. Nothing is read before the reader asks for it, so one who is slow holds no more than a chunk.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Blob } from "../Blob.ts"
import * as Body from "../Body.ts"
import type { Header } from "../Header.ts"
import * as Policy from "../Policy.ts"
import { Gone, TierError, TimedOut, Unavailable, Unknown } from "../TierError.ts"
import { bounded } from "./bounded.ts"
import * as Lookup from "./lookup.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"
import * as Tee from "./tee.ts"

type Bytes = Stream.Stream<Uint8Array, TierError>

/**
 * The blob that a flight has found in the tier at `position`, to be read by many, and copied by one of them into those of
 * the `faster` caches that take it. That is asked here, once per flight.
 */
export const shared = (state: State, blob: Blob, position: number, faster: ReadonlyArray<Member>): Blob => {
  const { body, header } = blob
  if (body._tag === "Inline") return blob
  const into = faster.filter((cache) => takes(cache, header))
  return {
    header,
    body: Body.streamed(header.size, (range) =>
      Stream.unwrap(
        Effect.gen(function* () {
          if (state.activities.closed) {
            const reason = new Unavailable({ cause: "closed" })
            return yield* new TierError({ tier: state.name, operation: "open", reason })
          }
          const copy = Tee.isWhole(header.size, range) ? yield* Tee.begin(state, header, into) : undefined
          const bytes = yield* opened(state, header, body, position, range)
          return copy === undefined ? bytes : Stream.tap(bytes, copy.feed)
        })
      )
    )
  }
}

const takes = (cache: Member, header: Header): boolean => {
  const { counters, tier } = cache
  if (header.size > cache.maxBytes || !tier.capabilities.streaming) {
    counters.declined["too-large"] += 1
    return false
  }
  const isAdmitted = cache.admits(header.key)
  if (!isAdmitted) counters.declined.admission += 1
  return isAdmitted
}

// -----------------------------------------------------------------------------
// Which tier
// -----------------------------------------------------------------------------

/** Opens the body that the tier at `position` has, or else the same bytes from a slower tier. */
const opened = (
  state: State,
  header: Header,
  body: Body.Streamed,
  position: number,
  range: Body.Range | undefined
): Effect.Effect<Bytes, TierError, Scope.Scope> => {
  const member = state.members[position]
  const length = lengthOf(header.size, range)
  return member === undefined || length === 0
    ? Effect.succeed(Stream.empty)
    : Effect.catch(
        delivered(member, () => body.open(range), length),
        (error) => elsewhere(state, header, position + 1, range, error)
      )
}

const lengthOf = (size: number, range: Body.Range | undefined): number =>
  range === undefined ? size : Math.max(0, Math.min(size, range.end) - Math.max(0, range.start))

/** The same bytes from one of the tiers from position `from` on, after `error` in a faster one. */
const elsewhere = (
  state: State,
  header: Header,
  from: number,
  range: Body.Range | undefined,
  error: TierError
): Effect.Effect<Bytes, TierError, Scope.Scope> => {
  const { members, store, tees } = state
  const gone = new TierError({ tier: error.tier, operation: "open", reason: new Gone({ key: header.key.text }) })
  // Nobody is left who could know better.
  if (from >= members.length) return Effect.fail(error)
  return Effect.flatMap(Lookup.blob(state, header.key, from), (sighting) => {
    // Whoever asks the chain again learns what a store says now; without a store, the one that failed may still have it.
    if (sighting._tag === "Absent") return Effect.fail(store === undefined ? error : gone)
    if (sighting._tag === "Unproven") return Effect.fail(error)
    const { position, value } = sighting
    if (value.header.digest !== header.digest) {
      return members[position] === store ? Effect.fail(gone) : elsewhere(state, header, position + 1, range, error)
    }
    // The same bytes were put again: what the reader was promised is not to be kept under its old header.
    if (value.header.generation !== header.generation) tees.abort(header.key)
    return value.body._tag === "Inline"
      ? Effect.succeed(Body.toStream(value.body, range))
      : opened(state, header, value.body, position, range)
  })
}

// -----------------------------------------------------------------------------
// From one tier
// -----------------------------------------------------------------------------

type Chunks = ReadonlyArray<Uint8Array>

/** Chunks, none of them empty; undefined: all were delivered. */
type Next = Effect.Effect<Chunks | undefined, TierError>

/** What one try to open a body has got. */
interface Opening {
  readonly first: Chunks | undefined
  readonly next: Next
}

/**
 * The `length` bytes that `open` delivers, once the first of them are there; what it holds is released with the scope.
 *
 * Each pull runs in a fiber of its own. One that hangs holds up neither the reader nor the closing of the chain, and
 * nothing is closed below it before it has let go.
 */
const delivered = (member: Member, open: () => Bytes, length: number): Effect.Effect<Bytes, TierError, Scope.Scope> =>
  Effect.gen(function* () {
    const { deadline, tier } = member
    /** Holds the pull that is running. */
    const pulls = Scope.makeUnsafe()
    /** Of tries that have got something: also of one that was given up before. */
    const scopes = new Set<Scope.Closeable>()
    let isLeft = false
    let isHung = false

    const attempt: Effect.Effect<Opening, TierError> = Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const scope = Scope.makeUnsafe()
        return Channel.toPullScoped(Stream.toChannel(open()), scope).pipe(
          Effect.flatMap((pull) => {
            const next = exactly(tier.name, length, pull)
            return Effect.map(restore(next), (first): Opening => ({ first, next }))
          }),
          Effect.onExit((exit) => {
            if (Exit.isFailure(exit) || isLeft) return Scope.close(scope, exit)
            // In the same step: whoever leaves from now on finds it.
            scopes.add(scope)
            return Effect.void
          })
        )
      })
    )

    const closed = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.forEach([pulls, ...scopes], (scope) => Scope.close(scope, exit), { discard: true })

    yield* Effect.addFinalizer((exit) =>
      Effect.suspend(() => {
        isLeft = true
        if (deadline === undefined) return closed(exit)
        return Effect.flatMap(Effect.forkDetach(closed(exit), { startImmediately: true }), (closing) =>
          isHung ? Effect.void : Effect.timeoutOption(Fiber.join(closing), deadline)
        )
      })
    )

    const { next, ...opening } = yield* member.call("open", () => attempt)
    const safely = Policy.unguarded(tier.name)("open", () => next)
    const inTime: Next =
      deadline === undefined
        ? safely
        : bounded(safely, deadline, pulls, () => {
            isHung = true
            const reason = new TimedOut({ millis: Duration.toMillis(deadline) })
            return new TierError({ tier: tier.name, operation: "open", reason })
          })

    let { first } = opening
    const pull = Effect.suspend(() => {
      if (first === undefined) return inTime
      const chunks = first
      first = undefined
      return Effect.succeed(chunks)
    })
    return Stream.fromPull(Effect.succeed(Effect.flatMap(pull, orDone)))
  })

const orDone = (chunks: Chunks | undefined): Pull.Pull<readonly [Uint8Array, ...Array<Uint8Array>]> => {
  const [first, ...rest] = chunks ?? []
  return first === undefined ? Cause.done() : Effect.succeed([first, ...rest])
}

/** Holds a tier to the length that it has promised; what it does after that is of no interest. */
const exactly = (tier: string, length: number, pull: Pull.Pull<Chunks, TierError>): Next => {
  const outside = (cause: string) =>
    Effect.fail(new TierError({ tier, operation: "open", reason: new Unknown({ cause: new Error(cause) }) }))
  let left = length
  const next: Next = Effect.suspend(() =>
    left === 0
      ? Effect.undefined
      : Pull.matchEffect(pull, {
          onSuccess: (chunks): Next => {
            const filled = chunks.filter(({ byteLength }) => byteLength > 0)
            left = filled.reduce((rest, { byteLength }) => rest - byteLength, left)
            if (left < 0) return outside(`delivered more than ${length} bytes`)
            return filled.length === 0 ? next : Effect.succeed(filled)
          },
          // Not the reader was interrupted, but what the tier does for it, for example because the tier is closed.
          onFailure: (cause): Next =>
            Cause.hasInterruptsOnly(cause)
              ? Effect.fail(
                  new TierError({ tier, operation: "open", reason: new Unavailable({ cause: "interrupted" }) })
                )
              : Effect.failCause(cause),
          onDone: (): Next => outside(`delivered ${length - left} of ${length} bytes`)
        })
  )
  return next
}

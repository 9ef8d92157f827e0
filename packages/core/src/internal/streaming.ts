/**
 * Streamed bodies as a chain hands them out.
 *
 * Each reader opens a stream of its own; one who reads the whole takes a copy along for the faster caches. Until the first
 * bytes are there, opening is a call to the tier like others, under its policy, and a tier that fails is passed over for
 * one that has the same bytes. After that nothing takes its place: each further pull has the tier's deadline, and what
 * fails, fails the reader. Nothing is read before the reader asks for it, so one who is slow holds no more than a chunk.
 */
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Blob } from "../Blob.ts"
import * as Body from "../Body.ts"
import type { Header } from "../Header.ts"
import { Gone, TierError, Unavailable, Unknown } from "../TierError.ts"
import * as Lookup from "./lookup.ts"
import type { Member } from "./member.ts"
import * as Pulling from "./pulling.ts"
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
        Pulling.delivered(member, "open", () => body.open(range), exactly(member.tier.name, length)),
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

/** Holds a tier to the length that it has promised; what it does after that is of no interest. */
const exactly =
  (tier: string, length: number) =>
  (pull: Pulling.Pulled<Uint8Array>): Pulling.Next<Uint8Array> => {
    const outside = (cause: string) =>
      Effect.fail(new TierError({ tier, operation: "open", reason: new Unknown({ cause: new Error(cause) }) }))
    let left = length
    const next: Pulling.Next<Uint8Array> = Effect.suspend(() =>
      left === 0
        ? Effect.undefined
        : Pull.matchEffect(pull, {
            onSuccess: (chunks): Pulling.Next<Uint8Array> => {
              const filled = chunks.filter(({ byteLength }) => byteLength > 0)
              left = filled.reduce((rest, { byteLength }) => rest - byteLength, left)
              if (left < 0) return outside(`delivered more than ${length} bytes`)
              return filled.length === 0 ? next : Effect.succeed(filled)
            },
            onFailure: (cause): Pulling.Next<Uint8Array> => Effect.failCause(cause),
            onDone: (): Pulling.Next<Uint8Array> => outside(`delivered ${length - left} of ${length} bytes`)
          })
    )
    return next
  }

/**
 * Streamed bodies as a chain hands them out: each reader opens a stream of its own; one of them is copied into the faster
 * caches on its way; a tier that fails before its first byte is passed over, as in a lookup.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Blob } from "../Blob.ts"
import * as Body from "../Body.ts"
import { Gone, TierError, TimedOut } from "../TierError.ts"
import * as Lookup from "./lookup.ts"
import type { Member } from "./member.ts"
import type { State } from "./state.ts"
import { tee } from "./tee.ts"

/** The blob that the tier at `position` has, to be read by many and copied once into `into`. */
export const shared = (state: State, blob: Blob, position: number, into: ReadonlyArray<Member>): Blob => {
  const { body, header } = blob
  return body._tag === "Inline"
    ? blob
    : {
        header,
        body: Body.streamed(body.size, (range) => {
          const source = open(state, blob, body, position, range)
          const isWhole = range === undefined || (range.start === 0 && range.end >= body.size)
          return isWhole && into.length > 0 ? tee(state, header, source, into) : source
        })
      }
}

const open = (
  state: State,
  blob: Blob,
  body: Body.Streamed,
  position: number,
  range: Body.Range | undefined
): Stream.Stream<Uint8Array, TierError> =>
  Stream.suspend(() => {
    let hasBegun = false
    return patiently(state.members[position], body.open(range)).pipe(
      Stream.tap(() => Effect.sync(() => (hasBegun = true))),
      Stream.catchIf(
        () => !hasBegun,
        (error) => elsewhere(state, blob, position + 1, range, error)
      )
    )
  })

/** A tier that does not deliver within its deadline has failed; how slow the reader is does not count. */
const patiently = (
  member: Member | undefined,
  stream: Stream.Stream<Uint8Array, TierError>
): Stream.Stream<Uint8Array, TierError> =>
  member?.deadline === undefined
    ? stream
    : Stream.timeoutOrElse(stream, {
        duration: member.deadline,
        orElse: () => {
          const reason = new TimedOut({ millis: Duration.toMillis(member.deadline ?? Duration.zero) })
          return Stream.fail(new TierError({ tier: member.tier.name, operation: "open", reason }))
        }
      })

/** The same bytes from a slower tier; who has other bytes by now is of no help to a reader who was promised these. */
const elsewhere = (
  state: State,
  { header }: Blob,
  from: number,
  range: Body.Range | undefined,
  error: TierError
): Stream.Stream<Uint8Array, TierError> =>
  Stream.unwrap(
    Effect.map(Lookup.blob(state, header.key, from), (sighting): Stream.Stream<Uint8Array, TierError> => {
      if (sighting._tag === "Found" && sighting.value.header.digest === header.digest) {
        const { body } = sighting.value
        return body._tag === "Inline"
          ? Body.toStream(body, range)
          : open(state, sighting.value, body, sighting.position, range)
      }
      // Absent, or replaced: whoever asks the chain again gets what there is now.
      return Stream.fail(
        sighting._tag === "Unproven"
          ? error
          : new TierError({ tier: error.tier, operation: "open", reason: new Gone({ key: header.key.text }) })
      )
    })
  )

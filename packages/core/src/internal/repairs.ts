/**
 * Copies that a cache could not drop: each is dropped later, in the background, and kept from serving until then.
 *
 * One repair per cache and subject; a later write only raises its generation. A cache with more than `limit` of them is
 * not asked any more: it costs hits, not correctness.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Floors } from "../Floor.ts"
import type { Generation } from "../Generation.ts"
import type { TierError } from "../TierError.ts"
import type { Member } from "./member.ts"

/** Most subjects under repair in one cache. */
const limit = 1_000

/** Between one and sixty seconds apart, for as long as the chain lives. */
const schedule = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

interface Repair {
  /** Copies of at most this generation must go. */
  upTo: Generation
  /** Grows with every write that adds to the repair. */
  version: number
}

export class Repairs {
  private readonly floors: Floors
  private readonly scope: Scope.Scope
  /** By cache, then by what is repaired. */
  private readonly pending = new Map<Member, Map<string, Repair>>()
  /** Repairs that need the floor of a subject. */
  private readonly pins = new Map<string, number>()

  constructor(floors: Floors, scope: Scope.Scope) {
    this.floors = floors
    this.scope = scope
  }

  /** Repairs of a tier that have not succeeded yet. */
  pendingIn(member: Member): number {
    return this.pending.get(member)?.size ?? 0
  }

  /**
   * Sees to it that `action` succeeds some day; until then copies of `subject` of at most `upTo` are not served. What
   * adds to a repair of the same `id` only raises its generation. `onRefused` runs instead where there are too many.
   */
  begin(
    member: Member,
    subject: string,
    upTo: Generation,
    action: (upTo: Generation) => Effect.Effect<unknown, TierError>,
    id = subject,
    onRefused: Effect.Effect<void> = Effect.void
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (member.isDistrusted) return Effect.void
      const repairs = this.pending.get(member) ?? new Map<string, Repair>()
      const running = repairs.get(id)
      if (running === undefined && repairs.size >= limit) return Effect.andThen(this.overflow(member), onRefused)
      this.pending.set(member, repairs)
      this.floors.pin(subject, upTo + 1)
      if (running !== undefined) {
        running.upTo = Math.max(running.upTo, upTo)
        running.version += 1
        return Effect.void
      }
      this.pins.set(subject, (this.pins.get(subject) ?? 0) + 1)
      const repair: Repair = { upTo, version: 0 }
      repairs.set(id, repair)
      const end = () => {
        repairs.delete(id)
        this.unpin(subject)
      }
      const once: Effect.Effect<void, TierError> = Effect.suspend(() => {
        const { version } = repair
        return Effect.flatMap(action(repair.upTo), () =>
          // In one step: nothing can be added between the comparison and the end.
          Effect.suspend(() => {
            if (repair.version !== version) return once
            end()
            return Effect.void
          })
        )
      })
      return Effect.retry(once, { schedule, while: () => !member.isDistrusted }).pipe(
        Effect.catch(() => Effect.sync(end)),
        Effect.forkIn(this.scope),
        Effect.asVoid
      )
    })
  }

  private unpin(subject: string): void {
    const pins = (this.pins.get(subject) ?? 1) - 1
    if (pins > 0) return void this.pins.set(subject, pins)
    this.pins.delete(subject)
    this.floors.release(subject)
  }

  /** A cache that needs so many is of no use any more; a store is still the truth of everything else. */
  private overflow(member: Member): Effect.Effect<void> {
    return Effect.suspend(() => {
      const tier = member.tier.name
      if (member.role === "store")
        return Effect.logError(`more than ${limit} late writes cannot be undone: the latest stays tier=${tier}`)
      member.isDistrusted = true
      return Effect.logError(
        `cache not asked any more until a restart: ${limit} copies are out of date and cannot be dropped tier=${tier}`
      )
    })
  }
}

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

/** Most subjects under repair in one chain. */
const limit = 1_000

/** Between one and sixty seconds apart, for as long as the chain lives. */
const schedule = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

export class Repairs {
  private readonly floors: Floors
  private readonly scope: Scope.Scope
  /** By cache and subject: the generation up to which copies must go. */
  private readonly pending = new Map<string, Generation>()
  /** Caches that still hold an old copy, by subject. */
  private readonly holders = new Map<string, number>()

  constructor(floors: Floors, scope: Scope.Scope) {
    this.floors = floors
    this.scope = scope
  }

  /** Sees to it that `action` succeeds some day; until then copies of `subject` below `generation` are not served. */
  begin(
    member: Member,
    subject: string,
    generation: Generation,
    action: (generation: Generation) => Effect.Effect<unknown, TierError>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (member.isDistrusted) return Effect.void
      const name = `${member.tier.name}\n${subject}`
      const before = this.pending.get(name)
      if (before === undefined && this.pending.size >= limit) return this.distrust(member)
      this.pending.set(name, Math.max(generation, before ?? 0))
      this.floors.pin(subject, generation)
      if (before !== undefined) return Effect.void
      this.holders.set(subject, (this.holders.get(subject) ?? 0) + 1)
      const attempt = Effect.suspend(() => {
        const target = this.pending.get(name) ?? generation
        return Effect.map(action(target), () => this.pending.get(name) === target)
      })
      return Effect.retry(attempt, { schedule, while: () => !member.isDistrusted }).pipe(
        Effect.repeat({ until: (isDone) => isDone }),
        Effect.ignore,
        Effect.ensuring(Effect.sync(() => this.end(name, subject))),
        Effect.forkIn(this.scope),
        Effect.asVoid
      )
    })
  }

  private end(name: string, subject: string): void {
    this.pending.delete(name)
    const others = (this.holders.get(subject) ?? 1) - 1
    if (others > 0) {
      this.holders.set(subject, others)
    } else {
      this.holders.delete(subject)
      this.floors.release(subject)
    }
  }

  private distrust(member: Member): Effect.Effect<void> {
    return Effect.suspend(() => {
      member.isDistrusted = true
      return Effect.logError(
        `cache not asked any more until a restart: ${limit} copies are out of date and cannot be dropped tier=${member.tier.name}`
      )
    })
  }
}

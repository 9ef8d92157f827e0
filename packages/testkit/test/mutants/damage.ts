/** Bugs that show when a backend damages what it holds. */
import * as Effect from "effect/Effect"
import * as DamageableTier from "./DamageableTier.ts"
import type { Mutant } from "./Mutant.ts"

const ofDamage = (name: string, change: Partial<DamageableTier.Handling>, caughtBy: string): Mutant => ({
  name,
  caughtBy,
  make: Effect.map(DamageableTier.memory, (memory) =>
    DamageableTier.make(memory, { ...DamageableTier.sound, ...change })
  )
})

export const damage: ReadonlyArray<Mutant> = [
  ofDamage(
    "what is read into memory is not verified",
    { verifies: (part) => part !== "inline" },
    "get - of a blob whose body was damaged behind the tier's back answers Miss or Corrupt, and counts it; it can be put again"
  ),
  ofDamage(
    "a header that was damaged is read as far as it goes",
    { readsHeader: false },
    "head - of a blob whose header was damaged behind the tier's back answers no other header; a newer blob can be put"
  ),
  ofDamage(
    "damage is not counted",
    { counts: false },
    "get - of a blob that was truncated behind the tier's back answers Miss or Corrupt, and counts it; it can be put again"
  ),
  ofDamage(
    "a damaged blob stays, and a put of the same one is taken for a retry",
    { setsAside: false },
    "get - of a blob whose body was damaged behind the tier's back answers Miss or Corrupt, and counts it; it can be put again"
  ),
  ofDamage(
    "streams are not verified",
    { verifies: (part) => part !== "stream" },
    "open - of a blob whose body was damaged after it was got delivers no damaged byte, fails, and counts it; it can be put again"
  ),
  ofDamage(
    "each piece of a stream is verified, and its chunk is not",
    { unit: "piece" },
    "open - of a range in a damaged chunk delivers none of its bytes; of a range in a sound one, its bytes or an error"
  ),
  ofDamage(
    "ranges are not verified",
    { verifies: (part) => part !== "range" },
    "open - of a range in a damaged chunk delivers none of its bytes; of a range in a sound one, its bytes or an error"
  )
]

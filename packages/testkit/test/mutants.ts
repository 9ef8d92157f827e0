/**
 * Tiers with one bug each, and a case of the suite that must notice it.
 */
import { answers } from "./mutants/answers.ts"
import { counting } from "./mutants/counting.ts"
import { damage } from "./mutants/damage.ts"
import { memory } from "./mutants/memory.ts"
import type { Mutant } from "./mutants/Mutant.ts"
import { sources } from "./mutants/sources.ts"
import { storage } from "./mutants/storage.ts"
import { streams } from "./mutants/streams.ts"
import { times } from "./mutants/times.ts"

export const mutants: ReadonlyArray<Mutant> = [
  ...answers,
  ...counting,
  ...times,
  ...memory,
  ...streams,
  ...sources,
  ...storage,
  ...damage
]

/**
 * What a check of a deployment sees, and what it answers.
 */
import type { Problem } from "./Problem.ts"
import type * as Tree from "./Tree.ts"
import type { Use } from "./Uses.ts"

export interface Context {
  readonly tree: unknown
  readonly tiers: ReadonlyArray<string>
  readonly uses: ReadonlyArray<Use>
  /** Whether the value there, or a part of it, is known to be wrong. */
  readonly isWrong: (path: Tree.Path) => boolean
  /** What stands there, as it may be shown. */
  readonly shown: (path: Tree.Path) => string
}

export type Check = (context: Context) => ReadonlyArray<Problem>

/** Every two of them, the earlier one first. */
export const pairs = <A>(all: ReadonlyArray<A>): ReadonlyArray<readonly [A, A]> =>
  all.flatMap((second, index) => all.slice(0, index).map((first) => [first, second] as const))

/**
 * What is wrong with a configuration, and how it is told: where, what was found, what is expected, an example.
 */
import type { Doc } from "./field.ts"
import * as Tree from "./Tree.ts"

export interface Problem {
  readonly path: Tree.Path
  /** As it is told, a secret never. */
  readonly found: string
  readonly expected: string
  readonly example?: string | undefined
}

/** Where a configuration comes from. */
export interface Origins {
  /** Name of the file; undefined: there is none. */
  readonly file: string | undefined
  /** Values that environment variables have set. */
  readonly variables: ReadonlyArray<{ readonly path: Tree.Path; readonly name: string; readonly example: string }>
  /** Values that variables were put into, as the file has them, and that no other variable has replaced. */
  readonly substituted: ReadonlyArray<{ readonly path: Tree.Path; readonly text: string }>
}

/** What is wrong with a value: it is not what `doc` says. */
export const ofValue = (tree: unknown, path: Tree.Path, doc: Doc, origins: Origins): Problem => {
  const value = Tree.get(tree, path)
  const isBare = doc.isText === true && Tree.isScalar(value) && typeof value !== "string"
  return {
    path,
    found: foundAt(tree, path, doc.isSecret, origins),
    expected: isBare ? `${doc.expected}, in quotes` : doc.expected,
    example: doc.example
  }
}

/** What stands there, without what may be secret: also what came out of a variable may be. */
export const foundAt = (tree: unknown, path: Tree.Path, isSecret: boolean, origins: Origins): string => {
  const value = Tree.get(tree, path)
  if (value === undefined) return "nothing"
  if (Array.isArray(value)) return "a list"
  if (Tree.isSection(value)) return "keys below it"
  if (isSecret) return "a value that is not shown"
  const substituted = origins.substituted.find((entry) => Tree.format(entry.path) === Tree.format(path))
  if (substituted !== undefined) return `what ${JSON.stringify(substituted.text.slice(0, 100))} stands for`
  return JSON.stringify(typeof value === "string" ? value.slice(0, 100) : value)
}

/** One line. A value that a variable has set is told by the name of the variable. */
export const format = ({ example, expected, found, path }: Problem, { file, variables }: Origins): string => {
  const variable = variables.find((entry) => Tree.format(entry.path) === Tree.format(path))
  if (variable !== undefined) {
    const is = found === "a value that is not shown" ? "cannot be used as it is" : `is ${found}`
    return `${variable.name} ${is}: expected ${expected}, for example ${variable.example}`
  }
  const place = [file, path.length === 0 ? undefined : Tree.format(path)].filter((part) => part !== undefined)
  return `${place.join(": ")}: found ${found}, expected ${expected}${example === undefined ? "" : `, for example ${example}`}`
}

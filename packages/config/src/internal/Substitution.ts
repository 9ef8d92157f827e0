/**
 * Puts environment variables into the values of a tree: `${NAME}`, or `${NAME:-default}` for one that need not be set.
 *
 * It is done to values, after the file was parsed, so that what a variable holds is never read as YAML. `$${` stands for
 * `${`. A value that is empty or blank counts as not there, as a variable does.
 */
import type { Problem } from "./Problem.ts"
import * as Tree from "./Tree.ts"

export type Environment = Readonly<Record<string, string | undefined>>

export interface Substituted {
  /** Undefined: it is too large for a tree. */
  readonly tree: unknown
  readonly problems: ReadonlyArray<Problem>
  /** Values that variables were put into, as the file has them. */
  readonly values: ReadonlyArray<{ readonly path: Tree.Path; readonly text: string }>
  /** Names of the variables that the file uses. */
  readonly names: ReadonlySet<string>
}

/** An alias may stand for a tree of any size, many times over. */
const mostValues = 10_000
const deepest = 32

export const substitute = (source: unknown, environment: Environment): Substituted => {
  const problems: Array<Problem> = []
  const values: Array<{ path: Tree.Path; text: string }> = []
  const names = new Set<string>()
  let count = 0
  let isTooDeep = false

  const walk = (value: unknown, path: Tree.Path): unknown => {
    isTooDeep ||= path.length > deepest
    if (++count > mostValues || isTooDeep) return undefined
    if (typeof value === "string") {
      const text = filled(value, path)
      return text.trim() === "" ? undefined : text.trim()
    }
    // An entry of a list keeps its place.
    if (Array.isArray(value)) return value.map((entry, index) => walk(entry, [...path, index]) ?? null)
    if (!Tree.isSection(value)) return value ?? undefined
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, entry]) => {
        const there = walk(entry, [...path, key])
        return there === undefined ? [] : [[key, there]]
      })
    )
  }

  const filled = (text: string, path: Tree.Path): string => {
    if (!text.includes("${")) return text
    const missing: Array<Problem> = []
    let isFilled = false
    const result = text.replace(reference, (whole, escaped: string | undefined, name?: string, preset?: string) => {
      if (escaped !== undefined) return "${"
      if (name === undefined) {
        missing.push({ path, found: "${ that is not closed, or without a name", ...wellFormed })
        return whole
      }
      isFilled = true
      names.add(name)
      const given = environment[name]
      if (given !== undefined && given.trim() !== "") return given
      if (preset !== undefined) return preset
      missing.push({
        path,
        found: `\${${name}}`,
        expected: "a variable that is set, or a default",
        example: `\${${name}:-value}`
      })
      return whole
    })
    problems.push(...missing)
    if (isFilled) values.push({ path, text })
    return result
  }

  const tree = walk(source, []) ?? {}
  if (count > mostValues || isTooDeep) {
    const found = isTooDeep ? "keys below keys without end" : "values without end"
    const expected = `at most ${mostValues} values, at most ${deepest} deep`
    return { tree: undefined, problems: [{ path: [], found, expected }], values, names }
  }
  return { tree, problems, values, names }
}

const reference = /(\$\$\{)|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?/g

const wellFormed = {
  expected: "${NAME} or ${NAME:-default}, or $${ for the two characters",
  example: "${TERRACE_TOKEN}"
}

/**
 * What a file says before it is decoded: sections, lists and values, and the places in it.
 *
 * Nothing is known of it: every reader here answers undefined for what is not as it should be, and the schema tells people.
 */
import type { Scalar } from "./Form.ts"

export type Path = ReadonlyArray<string | number>
export type Section = Readonly<Record<string, unknown>>

export const isSection = (value: unknown): value is Section =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const isScalar = (value: unknown): value is Scalar =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"

export const get = (tree: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (value, step) =>
      (isSection(value) || Array.isArray(value)) && Object.hasOwn(value, step)
        ? (value as Record<string | number, unknown>)[step]
        : undefined,
    tree
  )

/** The section there; empty if there is none. */
export const sectionAt = (tree: unknown, path: Path): Section => {
  const value = get(tree, path)
  return isSection(value) ? value : {}
}

/** The value there, as text. */
export const textAt = (tree: unknown, path: Path): string | undefined => {
  const value = get(tree, path)
  return isScalar(value) ? String(value) : undefined
}

/** The tree with another value there. What is in the way, because it should be a section and is none, stays. */
export const set = (tree: unknown, [step, ...rest]: Path, value: unknown): unknown => {
  if (step === undefined) return value
  if (tree !== undefined && !isSection(tree)) return tree
  return { ...tree, [step]: set(get(tree, [step]), rest, value) }
}

/** As people write it: `chains.masters.caches[0]`. */
export const format = (path: Path): string =>
  path
    .map((step, index) =>
      typeof step === "number"
        ? `[${step}]`
        : `${index === 0 ? "" : "."}${/^[A-Za-z0-9$_-]{1,64}$/.test(step) ? step : JSON.stringify(step.slice(0, 64))}`
    )
    .join("")

/** Whether the first path is the second one, or leads into it. */
export const isWithin = (path: Path, outer: Path): boolean => outer.every((step, index) => path[index] === step)

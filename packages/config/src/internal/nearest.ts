/** The known name that is most like the given one, by the edits between them. */
export const nearest = (given: string, known: ReadonlyArray<string>): string | undefined =>
  known
    .map((name) => ({ name, distance: distance(given.slice(0, 64).toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]?.name

/** Levenshtein's distance: letters to add, to leave out or to change. */
const distance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of Array.from(from).entries()) {
    const next = [index + 1]
    for (let column = 1; column <= to.length; column++) {
      const changed = (row[column - 1] ?? 0) + (to[column - 1] === letter ? 0 : 1)
      next.push(Math.min(changed, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

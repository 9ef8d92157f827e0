/** Code that documents show, to be compared with the examples that run. */

/** The TypeScript blocks of a document. */
export const excerpts = (document: string): ReadonlyArray<string> =>
  Array.from(document.matchAll(/^```ts\n([\s\S]*?)\n```$/gm), ([, code]) => code ?? "")

/** Whether the excerpt is a run of whole lines of the source, wherever they are indented. */
export const holds = (source: string, excerpt: string): boolean => {
  const lines = source.split("\n")
  const length = excerpt.split("\n").length
  return lines.some((_, start) => dedented(lines.slice(start, start + length)) === excerpt)
}

/** The lines without what all of them are indented by. */
const dedented = (lines: ReadonlyArray<string>): string => {
  const indents = lines.filter((line) => line !== "").map((line) => line.length - line.trimStart().length)
  return lines.map((line) => line.slice(Math.min(...indents))).join("\n")
}

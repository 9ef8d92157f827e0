/**
 * Reads the text of a file, YAML or JSON, into a tree.
 *
 * Messages of the parsers may show what stands in the file, which may be a secret: only the place is told.
 */
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"

/** Bytes of a file; one that describes a deployment has a thousandth. */
const largest = 1_048_576

/** The endings that names of files have. */
export const endings = ["yaml", "yml", "json"] as const

export interface Unreadable {
  readonly found: string
  readonly expected: string
}

export const parse = (name: string, text: string): Result.Result<unknown, Unreadable> => {
  if (text.length > largest) {
    return Result.fail({ found: `${text.length} characters`, expected: `at most ${largest}` })
  }
  return name.endsWith(".json") ? json(text) : yaml(text)
}

const yaml = (text: string) =>
  Result.try({
    try: () => Yaml.parse(text),
    catch: (error) => ({
      found: whatYamlSays(error),
      expected: isUnquoted(text)
        ? 'YAML, with quotes around ${NAME} between { and }, for example { token: "${TOKEN}" }'
        : "YAML"
    })
  })

/** Whether the brace of a variable stands where YAML takes it for one of its own. */
const isUnquoted = (text: string): boolean => /[{,][^"'\n{}]*:\s*\$\{/.test(text)

/** What the parser says without quoting values: the kind of trouble, a line, which key stands twice. */
const whatYamlSays = (error: unknown): string => {
  const message = error instanceof SyntaxError && error.message.length < 200 ? error.message : undefined
  if (message === undefined) return "text that cannot be read"
  const said = message.startsWith("Duplicate key") ? message : message.replaceAll(/'[^']{2,}'/g, "…")
  return `text that cannot be read (${lowerFirst(said)})`
}

/** As part of a sentence, on one line: a key may have line breaks. */
const lowerFirst = (text: string) => `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`.replaceAll(/\s+/g, " ")

const json = (text: string) =>
  Result.flatMap(
    Result.try({
      try: (): unknown => JSON.parse(text),
      catch: (error) => ({ found: `text that cannot be read${placeIn(text, error)}`, expected: "JSON" })
    }),
    (value) => {
      const repeated = repeatedKey(text)
      return repeated === undefined
        ? Result.succeed(value)
        : Result.fail({ found: `the key ${repeated} twice in one object`, expected: "each key once" })
    }
  )

const placeIn = (text: string, error: unknown): string => {
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1]
  if (position === undefined) return ""
  const before = text.slice(0, Number(position)).split("\n")
  return ` (line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1})`
}

/** `JSON.parse` takes the last of several equal keys in silence. The text is JSON that it has read. */
const repeatedKey = (text: string): string | undefined => {
  const open: Array<Set<string> | undefined> = []
  const tokens = text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)
  for (const [token, colon] of tokens) {
    if (token === "{") open.push(new Set())
    else if (token === "[") open.push(undefined)
    else if (token === "}" || token === "]") open.pop()
    else if (colon !== undefined) {
      const key = JSON.stringify(JSON.parse(token.slice(0, -colon.length)))
      const keys = open.at(-1)
      if (keys?.has(key) === true) return key.slice(0, 100)
      keys?.add(key)
    }
  }
  return undefined
}

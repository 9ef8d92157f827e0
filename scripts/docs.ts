/**
 * Tables of the documentation that are made from code. `npm run docs` writes them; a test compares them.
 */
import { readFile, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { kinds } from "../services/image-server/src/Problem.ts"
import { settings } from "../services/image-server/src/ServerConfig.ts"

const row = (cells: ReadonlyArray<string>): string =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n")

export interface Section {
  readonly file: string
  readonly name: string
  readonly text: string
}

export const sections: ReadonlyArray<Section> = [
  {
    file: "README.md",
    name: "settings",
    text: table(
      ["setting", "default", "meaning", "example"],
      settings.map(({ default: preset, example, meaning, name }) => [
        `\`${name}\``,
        preset === undefined ? "" : `\`${preset}\``,
        meaning,
        `\`${example}\``
      ])
    )
  },
  {
    file: "docs/problems.md",
    name: "problems",
    text: table(
      ["type", "status", "title"],
      Object.entries(kinds).map(([type, { status, title }]) => [
        `\`urn:terrace:problem:${type}\``,
        String(status),
        title
      ])
    )
  }
]

const root = new URL("../", import.meta.url)

/** The document with its section brought up to date. */
export const updated = async ({ file, name, text }: Section): Promise<{ before: string; after: string }> => {
  const before = await readFile(new URL(file, root), "utf8")
  const section = new RegExp(`<!-- ${name} -->[^]*<!-- /${name} -->`)
  if (!section.test(before)) throw new Error(`${file} has no section ${name}`)
  return { before, after: before.replace(section, () => `<!-- ${name} -->\n\n${text}\n\n<!-- /${name} -->`) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const section of sections) {
    const { after } = await updated(section)
    await writeFile(new URL(section.file, root), after)
  }
}

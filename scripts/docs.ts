/**
 * Tables of the documentation, and the JSON Schema of the configuration, that are made from code. `npm run docs` writes
 * them; tests compare them.
 */
import { readFile, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { keysOf, type Part } from "./keys.ts"
import { kinds } from "../services/image-server/src/Problem.ts"
import { jsonSchema } from "../packages/config/src/DeploymentSchema.ts"
import { settings } from "../packages/config/src/Settings.ts"

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
      ["setting", "in a file", "default", "meaning", "example"],
      settings.map(({ default: preset, example, key, meaning, name }) => [
        `\`${name}\``,
        `\`${key}\``,
        preset === undefined ? "" : `\`${preset}\``,
        meaning,
        `\`${example}\``
      ])
    )
  },
  {
    file: "docs/guides/configure.md",
    name: "keys",
    text: keysOf(jsonSchema() as Part)
      .map(({ keys, meaning, title }) =>
        [
          `### ${title}`,
          meaning,
          table(
            ["key", "default", "meaning", "example"],
            keys.map(({ default: preset, example, key, meaning }) => [`\`${key}\``, preset, meaning, example])
          )
        ].join("\n\n")
      )
      .join("\n\n")
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
  await writeFile(new URL("packages/config/terrace.schema.json", root), JSON.stringify(jsonSchema(), null, 2))
}

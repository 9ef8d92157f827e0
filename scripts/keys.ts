/** The keys of a configuration file, as its JSON Schema tells them, in groups for a document. */

export interface Group {
  readonly title: string
  readonly meaning: string
  readonly keys: ReadonlyArray<Key>
}

export interface Key {
  readonly key: string
  readonly default: string
  readonly meaning: string
  readonly example: string
}

/** What is read of a JSON Schema. */
export interface Part {
  readonly description?: string
  readonly default?: string
  readonly examples?: ReadonlyArray<string>
  readonly properties?: Readonly<Record<string, Part>>
  readonly additionalProperties?: Part | false
  readonly anyOf?: ReadonlyArray<Part>
  readonly items?: Part
  readonly required?: ReadonlyArray<string>
  readonly enum?: ReadonlyArray<string>
}

const code = (value: string | undefined): string => (value === undefined ? "" : `\`${value}\``)

/** The parts with keys of their own that may stand there. */
const sections = (part: Part): ReadonlyArray<Part> =>
  part.properties === undefined ? (part.anyOf ?? []).flatMap(sections) : [part]

/** The names of a part whose keys are names. */
const named = (part: Part): Part | undefined =>
  part.additionalProperties === false || part.additionalProperties === undefined ? undefined : part.additionalProperties

const rows = (prefix: string, part: Part): ReadonlyArray<Key> =>
  Object.entries(part.properties ?? {}).flatMap(([name, value]) => {
    const key = `${prefix}${name}`
    const own: ReadonlyArray<Key> =
      value.description === undefined || (value.properties !== undefined && value.default === undefined)
        ? []
        : [
            {
              key,
              default: part.required?.includes(name) === true ? "required" : code(value.default),
              meaning: value.description,
              example: code(value.examples?.[0])
            }
          ]
    const inner = [...sections(value), ...(value.items === undefined ? [] : sections(value.items))]
    const suffix = value.items === undefined ? "." : "[]."
    return [...own, ...inner.flatMap((section) => rows(`${key}${suffix}`, section))]
  })

const group = (title: string, prefix: string, part: Part): Group => ({
  title,
  meaning: part.description ?? "",
  keys: rows(prefix, part)
})

export const keysOf = (schema: Part): ReadonlyArray<Group> => {
  const top = Object.entries(schema.properties ?? {}).filter(([name]) => name !== "$schema")
  const plain = top.filter(([, part]) => sections(part).length === 0 && named(part) === undefined)
  const groups = top.flatMap(([name, part]): ReadonlyArray<Group> => {
    const entry = named(part)
    if (entry === undefined) return sections(part).map((section) => group(`\`${name}\``, `${name}.`, section))
    return sections(entry).map((section) => {
      const kind = section.properties?.["type"]?.enum?.[0]
      return group(`\`${name}\`${kind === undefined ? "" : `, type \`${kind}\``}`, `${name}.<name>.`, section)
    })
  })
  return [
    {
      title: "Top",
      meaning: "Beside the sections below.",
      keys: plain.flatMap(([name, part]) => rows("", { properties: { [name]: part } }))
    },
    ...groups
  ]
}

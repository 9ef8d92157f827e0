import { assert, describe, it } from "@effect/vitest"
import * as Tier from "@terrace/core/Tier"
import { Fixtures } from "@terrace/testkit"
import { Entries } from "../src/internal/Entries.ts"

const { header, body } = Fixtures.blob()
const read = Tier.hit({ header, body })
const readHeader = Tier.hitHeader(header)

const add = (entries: Entries, group: string, name: string, charge = 1): void =>
  entries.add({ header: { ...header, key: { group, name, text: `${group}/${name}` } }, read, readHeader, charge })

const order = (entries: Entries): ReadonlyArray<string> => {
  const names: Array<string> = []
  for (let entry = entries.oldest(); entry !== undefined; entry = entries.oldest()) {
    names.push(entry.header.key.name)
    entries.drop(entry)
  }
  return names
}

describe("Entries", () => {
  it("oldest - goes by the last touch", () => {
    const entries = new Entries()
    for (const name of ["a", "b", "c", "d"]) add(entries, "g", name)

    for (const name of ["b", "d", "a", "a"]) {
      const entry = entries.find({ group: "g", name, text: `g/${name}` })
      if (entry !== undefined) entries.touch(entry)
    }

    assert.deepStrictEqual(order(entries), ["c", "b", "d", "a"])
  })

  it("drop - takes an entry from the middle, the ends and alone", () => {
    for (const [dropped, rest] of [
      ["b", ["a", "c"]],
      ["a", ["b", "c"]],
      ["c", ["a", "b"]]
    ] as const) {
      const entries = new Entries()
      for (const name of ["a", "b", "c"]) add(entries, "g", name)
      const entry = entries.find({ group: "g", name: dropped, text: `g/${dropped}` })
      if (entry !== undefined) entries.drop(entry)

      assert.deepStrictEqual(order(entries), rest)
      assert.isUndefined(entries.oldest())
    }
  })

  it("add and drop - keep the sum of the charges and the count", () => {
    const entries = new Entries()
    add(entries, "g", "a", 10)
    add(entries, "g", "b", 32)
    assert.deepInclude(entries, { bytes: 42, count: 2 })

    order(entries)

    assert.deepInclude(entries, { bytes: 0, count: 0 })
  })

  it("members - allows dropping while iterating", () => {
    const entries = new Entries()
    for (const name of ["a", "b", "c"]) add(entries, "g", name)
    add(entries, "other", "a")

    for (const entry of entries.members("g")) entries.drop(entry)

    assert.deepStrictEqual([...entries.groupNames()], ["other"])
    assert.deepStrictEqual([...entries.members("g")], [])
  })

  it("1,000,000 distinct keys through 100 entries leave 100 entries and no more groups", () => {
    const entries = new Entries()
    for (let index = 0; index < 1_000_000; index++) {
      add(entries, `g${index >> 1}`, `n${index & 1}`)
      const oldest = entries.oldest()
      if (entries.count > 100 && oldest !== undefined) entries.drop(oldest)
    }

    const groups = [...entries.groupNames()]
    assert.deepInclude(entries, { bytes: 100, count: 100 })
    assert.isAtMost(groups.length, 51)
    assert.strictEqual(
      groups.reduce((count, group) => count + [...entries.members(group)].length, 0),
      100
    )
  })
})

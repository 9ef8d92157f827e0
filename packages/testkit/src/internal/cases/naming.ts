/** Keys at the edges of what `Key` allows. */
import { assert } from "@effect/vitest"
import * as Key from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** Names that mean something to a file system, a URL, a glob or a prototype. */
const oddNames = [
  ".",
  "..",
  "...",
  ".hidden",
  "-",
  "--help",
  "~",
  "_",
  "a.",
  "con",
  "nul",
  "aux.txt",
  "__proto__",
  "constructor",
  "0",
  "0~tmp",
  "a~b~c"
]

export const naming: ReadonlyArray<Case.Case> = [
  Case.make(
    "keys - of every allowed character are kept apart and listed as they are",
    {},
    Effect.gen(function* () {
      const { tier, group, groupPrefix } = yield* Case.Subject
      const keys = [
        [group(`${letters}0123456789._-`), "abcdefghijklmnopqrstuvwxyz0123456789~._-"],
        [group("a.."), "master"],
        [group("a..b"), "master"],
        [group("a-"), "master"],
        [group("constructor"), "master"]
      ] as const
      const blobs = keys.map(([group, name], index) => Fixtures.blob({ group, name, seed: index }))
      for (const blob of blobs) yield* expect.stores(tier, blob)

      for (const blob of blobs) yield* expect.holds(tier, blob)
      if (!tier.capabilities.list) return
      const listed = yield* Stream.runCollect(tier.scan({ groupPrefix }))
      assert.sameMembers(
        [...new Set(listed.map((entry) => entry.key.text))],
        blobs.map((blob) => blob.header.key.text)
      )
    })
  ),

  Case.make(
    "keys - whose names mean something elsewhere are names like others",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = oddNames.map((name, index) => Fixtures.blob({ group: group("g"), name, seed: index }))
      for (const blob of blobs) yield* expect.misses(tier, blob.header.key)
      for (const blob of blobs) yield* expect.stores(tier, blob)

      for (const blob of blobs) yield* expect.holds(tier, blob)
      for (const blob of blobs) {
        assert.deepStrictEqual(yield* tier.remove(blob.header.key, 1), { _tag: "Removed" }, blob.header.key.text)
        yield* expect.misses(tier, blob.header.key)
      }
    })
  ),

  Case.make(
    "keys - of groups that differ in case only are two",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const upper = Fixtures.blob({ group: group("Cat"), seed: 1 })
      const lower = Fixtures.blob({ group: group("cAT"), seed: 2 })

      yield* expect.stores(tier, upper)
      yield* expect.misses(tier, lower.header.key)
      yield* expect.stores(tier, lower)

      yield* expect.holds(tier, upper)
      yield* expect.holds(tier, lower)
    })
  ),

  Case.make(
    "keys - of the greatest lengths are told apart by their last character",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const long = (end: string) => group("g").padEnd(199, "x") + end
      const name = "n".repeat(47)
      const blobs = [
        Fixtures.blob({ group: long("1"), name: `${name}1`, seed: 1 }),
        Fixtures.blob({ group: long("1"), name: `${name}2`, seed: 2 }),
        Fixtures.blob({ group: long("2"), name: `${name}1`, seed: 3 }),
        Fixtures.blob({ group: long("").slice(0, 199), name, seed: 4 })
      ]
      for (const blob of blobs) yield* expect.stores(tier, blob)

      for (const blob of blobs) yield* expect.holds(tier, blob)
      yield* tier.removeGroup(long("1"), 1)
      for (const blob of blobs.slice(0, 2)) yield* expect.misses(tier, blob.header.key)
      for (const blob of blobs.slice(2)) yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "keys - of one character in group and name",
    {},
    Effect.gen(function* () {
      const { tier } = yield* Case.Subject
      const blob = Fixtures.blob({ group: "0", name: "0" })
      yield* tier.removeGroup("0", Number.MAX_SAFE_INTEGER)
      yield* expect.misses(tier, Key.makeUnsafe("0", "0"))

      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
      yield* tier.removeGroup("0", Number.MAX_SAFE_INTEGER)
      yield* expect.misses(tier, blob.header.key)
    })
  )
]

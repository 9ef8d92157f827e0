import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Key from "../src/Key.ts"

const groupCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789~._-"

describe("Key", () => {
  it.each(["a", "A", "0", "hero_recycle-01", "a..b", "a.", "constructor", groupCharacters, "g".repeat(200)])(
    "make - takes the group %s",
    (group) => {
      assert.strictEqual(Key.makeUnsafe(group, "master").text, `${group}/master`)
      assert.isTrue(Key.isGroup(group))
    }
  )

  it.each([
    "",
    ".",
    "..",
    "-a",
    "_a",
    ".a",
    "a/b",
    "a b",
    "a\n",
    "\na",
    "ä",
    "a\0",
    "a%2f",
    "a\\b",
    "{a}",
    "g".repeat(201)
  ])("make - refuses the group %j", (group) => {
    assert.throws(() => Key.makeUnsafe(group, "master"), Key.InvalidKey, "group")
    assert.isFalse(Key.isGroup(group))
  })

  it.each([
    "m",
    "master",
    ".",
    "..",
    "-",
    "__proto__",
    "0123456789abcdef~fedcba9876543210",
    nameCharacters,
    "n".repeat(48)
  ])("make - takes the name %s", (name) => {
    assert.strictEqual(Key.makeUnsafe("hero", name).text, `hero/${name}`)
  })

  it.each(["", "Master", "a/b", "a b", "a\n", "ä", "a\0", "n".repeat(49)])("make - refuses the name %j", (name) => {
    assert.throws(() => Key.makeUnsafe("hero", name), Key.InvalidKey, "name")
  })

  it.effect("parse - reads the text form, and gives back what make gave", () =>
    Effect.gen(function* () {
      const key = yield* Effect.fromResult(Key.parse("hero_recycle-01/0123~4567"))

      assert.deepStrictEqual(
        { ...key },
        { group: "hero_recycle-01", name: "0123~4567", text: "hero_recycle-01/0123~4567" }
      )
      assert.deepStrictEqual(key, Key.makeUnsafe(key.group, key.name))
    })
  )

  it.effect.each(["", "hero", "hero/", "/master", "/", "a/b/c", "hero//master", "hero/master/", " hero/master"])(
    "parse - refuses %j",
    (text) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.fromResult(Key.parse(text)))
        assert.instanceOf(error, Key.InvalidKey)
      })
  )

  it.effect("InvalidKey - names the part, the expected form and an example, and shortens what was given", () =>
    Effect.gen(function* () {
      const group = yield* Effect.flip(Effect.fromResult(Key.make("a b", "master")))
      const name = yield* Effect.flip(Effect.fromResult(Key.make("hero", "X".repeat(5_000))))

      assert.strictEqual(
        group.message,
        'group "a b" is not valid: expected 1 to 200 letters, digits, ".", "_" or "-", beginning with a letter or digit, for example "hero_recycle-01"'
      )
      assert.match(name.message, /^name "X{60}…" is not valid: expected 1 to 48 lower-case letters/)
    })
  )
})

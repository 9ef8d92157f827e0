import { assert, describe, it } from "vitest"
import { Floors } from "../src/Floor.ts"
import * as Header from "../src/Header.ts"
import * as Key from "../src/Key.ts"

const key = Key.makeUnsafe("hero", "master")

const headerOf = (generation: number) =>
  Header.describe(key, Buffer.from("x"), { contentType: "text/plain", generation, createdAt: 0 })

describe("Floors", () => {
  it("holds a floor while something that began before it runs", () => {
    const floors = new Floors(10)
    const before = floors.begin()
    floors.raise(key.text, 5)
    const after = floors.begin()
    assert.strictEqual(floors.of(key), 5)

    floors.end(before)

    assert.strictEqual(floors.of(key), 0)
    floors.end(after)
    assert.deepStrictEqual([floors.size, floors.running], [0, 0])
  })

  it("applies the floor of a group to its keys", () => {
    const floors = new Floors(10)
    floors.begin()
    floors.raise("hero", 7)
    floors.raise(key.text, 5)

    assert.strictEqual(floors.of(key), 7)
    assert.strictEqual(floors.of(Key.makeUnsafe("hero2", "master")), 0)
  })

  it("never lowers a floor", () => {
    const floors = new Floors(10)
    floors.begin()
    floors.raise(key.text, 9)
    floors.raise(key.text, 5)

    assert.strictEqual(floors.of(key), 9)
  })

  it("discards what began before a floor was raised, whatever its generation", () => {
    const floors = new Floors(10)
    const before = floors.begin()
    floors.raise(key.text, 5)
    const header = headerOf(9)

    assert.isTrue(floors.discards(header, before))
    assert.isFalse(floors.discards(header, floors.mark()))
    assert.isFalse(floors.discards(header))
  })

  it("holds a pinned floor until it is released", () => {
    const floors = new Floors(10)
    const activity = floors.begin()
    floors.pin(key.text, 6)
    floors.end(activity)
    assert.strictEqual(floors.of(key), 6)

    floors.release(key.text)

    assert.deepStrictEqual([floors.of(key), floors.size], [0, 0])
  })

  it("puts one floor for everything in the place of too many, and drops it in time", () => {
    const floors = new Floors(3)
    const activity = floors.begin()
    for (let group = 0; group < 4; group++) floors.raise(`group${group}`, 10 + group)

    assert.strictEqual(floors.size, 1)
    assert.strictEqual(floors.of(key), 13)
    floors.end(activity)
    assert.strictEqual(floors.of(key), 0)
  })

  it("puts into the floor for everything the newest generation, and the latest change, of those it replaces", () => {
    const floors = new Floors(1)
    const before = floors.begin()
    floors.raise("one", 20)
    floors.learn("two", 10)
    const between = floors.begin()
    floors.learn("three", 5)
    floors.learn("four", 5)

    assert.strictEqual(floors.of(key), 20)
    assert.isTrue(floors.isChanged(key, before))
    assert.isFalse(floors.isChanged(key, between))
    assert.isTrue(floors.discards(headerOf(30), before))
    assert.isFalse(floors.discards(headerOf(30), between))
    floors.end(before)
    assert.strictEqual(floors.of(key), 20, "it was put together after the second one had begun")
    floors.end(between)
    assert.strictEqual(floors.size, 0)
  })

  it("learns of what others have written without discarding what is newer, whenever it began", () => {
    const floors = new Floors(10)
    const before = floors.begin()
    floors.learn(key.text, 5)

    assert.isTrue(floors.discards(headerOf(4)))
    assert.isFalse(floors.discards(headerOf(5), before))
    assert.isFalse(floors.isChanged(key, before))
    floors.raise(key.text, 3)
    assert.isTrue(floors.isChanged(key, before))
    floors.learn(key.text, 6)
    assert.isTrue(floors.isChanged(key, before), "what is learned takes no change back")
  })

  it("pins one floor per subject, at the newest generation, of a key as of a group", () => {
    for (const subject of [key.text, key.group]) {
      const floors = new Floors(10)
      floors.pin(subject, 6)
      floors.pin(subject, 4)

      assert.deepStrictEqual([floors.of(key), floors.size], [6, 1])
      assert.isTrue(floors.discards(headerOf(5)))
      assert.isFalse(floors.discards(headerOf(6), 0))
    }
  })

  it("holds to a pin that was released what began before that", () => {
    const floors = new Floors(10)
    floors.pin(key.text, 6)
    const before = floors.begin()
    floors.release(key.text)
    assert.isTrue(floors.discards(headerOf(5)))
    assert.isFalse(floors.discards(headerOf(6), before))
    floors.release(key.text)
    floors.end(before)

    assert.isFalse(floors.discards(headerOf(5)))
  })

  it("keeps a floor that is raised again as long as what began before the second time", () => {
    const floors = new Floors(10)
    const first = floors.begin()
    floors.raise(key.text, 5)
    floors.raise("other", 5)
    const second = floors.begin()
    floors.raise(key.text, 6)
    floors.end(first)

    assert.deepStrictEqual([floors.of(key), floors.size], [6, 1])
    floors.end(second)
    assert.strictEqual(floors.size, 0)
  })
})

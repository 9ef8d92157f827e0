import { assert, describe, it } from "vitest"
import { Floors } from "../src/Floor.ts"
import * as Header from "../src/Header.ts"
import * as Key from "../src/Key.ts"

const key = Key.makeUnsafe("hero", "master")

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
    const header = Header.describe(key, Buffer.from("x"), { contentType: "text/plain", generation: 9, createdAt: 0 })

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
})

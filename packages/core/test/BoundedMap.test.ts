import { assert, describe, it } from "@effect/vitest"
import { BoundedMap } from "../src/internal/BoundedMap.ts"

const keysOf = (map: BoundedMap<string, number>): ReadonlyArray<string> => {
  const keys: Array<string> = []
  map.deleteWhere((_, key) => {
    keys.push(key)
    return false
  })
  return keys
}

describe("BoundedMap", () => {
  it("holds at most its limit, and lets what was set longest ago go first", () => {
    const map = new BoundedMap<string, number>(2)
    map.set("a", 1)
    map.set("b", 2)
    map.set("c", 3)

    assert.strictEqual(map.size, 2)
    assert.isUndefined(map.get("a"))
    assert.deepStrictEqual(keysOf(map), ["b", "c"])
  })

  it("makes what is set again the newest, without letting another go", () => {
    const map = new BoundedMap<string, number>(2)
    map.set("a", 1)
    map.set("b", 2)
    map.set("a", 3)
    assert.strictEqual(map.size, 2)
    map.set("c", 4)

    assert.strictEqual(map.get("a"), 3)
    assert.deepStrictEqual(keysOf(map), ["a", "c"])
  })

  it("is not changed by a look", () => {
    const map = new BoundedMap<string, number>(2)
    map.set("a", 1)
    map.set("b", 2)
    assert.strictEqual(map.get("a"), 1)
    map.set("c", 3)

    assert.isUndefined(map.get("a"))
  })

  it("holds nothing with a limit of zero or less", () => {
    for (const limit of [0, -1]) {
      const map = new BoundedMap<string, number>(limit)
      map.set("a", 1)

      assert.strictEqual(map.size, 0)
      assert.isUndefined(map.get("a"))
    }
  })

  it("delete, deleteWhere and clear make room", () => {
    const map = new BoundedMap<string, number>(3)
    for (const [index, key] of ["a", "b", "c"].entries()) map.set(key, index)

    assert.isTrue(map.delete("a"))
    assert.isFalse(map.delete("a"))
    map.deleteWhere((value, key) => value === 1 && key === "b")
    assert.deepStrictEqual(keysOf(map), ["c"])
    map.clear()
    assert.strictEqual(map.size, 0)
  })

  it("keeps to its limit through a hundred thousand keys", () => {
    const map = new BoundedMap<string, number>(100)
    for (let index = 0; index < 100_000; index++) map.set(`${index}`, index)

    assert.strictEqual(map.size, 100)
    assert.strictEqual(keysOf(map)[0], "99900")
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Header from "../src/Header.ts"
import { HeaderCache } from "../src/internal/HeaderCache.ts"
import * as Key from "../src/Key.ts"

const keys = ["a/x", "a/y", "b/x"].map((text) => Key.makeUnsafe(text.slice(0, 1), text.slice(2)))
const [first, second, third] = keys as [Key.Key, Key.Key, Key.Key]

const headerOf = (key: Key.Key, generation = 5) =>
  Header.describe(key, new Uint8Array(), { contentType: "text/plain", generation, createdAt: 0 })

const filled = (limit = 3) => {
  const cache = new HeaderCache(limit)
  for (const key of keys) cache.set(headerOf(key))
  return cache
}

const known = (cache: HeaderCache) => keys.filter((key) => cache.get(key) !== undefined)

describe("HeaderCache", () => {
  it("lets go of what was used longest ago: a look is a use", () => {
    const cache = new HeaderCache(2)
    cache.set(headerOf(first))
    cache.set(headerOf(second))
    assert.strictEqual(cache.get(first)?.generation, 5)
    cache.set(headerOf(third))

    assert.deepStrictEqual(known(cache), [first, third])
    assert.strictEqual(cache.size, 2)
  })

  it("forgets a key, what is older than a write, and a group", () => {
    const cache = filled()
    cache.deleteBelow(first, 5)
    assert.deepStrictEqual(known(cache), keys)
    cache.deleteBelow(first, 6)
    assert.deepStrictEqual(known(cache), [second, third])
    cache.delete(third)
    assert.deepStrictEqual(known(cache), [second])

    const again = filled()
    again.deleteGroup("a")
    assert.deepStrictEqual(known(again), [third])
  })
})

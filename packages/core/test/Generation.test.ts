import { assert, describe, it } from "@effect/vitest"
import * as Generation from "../src/Generation.ts"

const now = 1_700_000_000_000

describe("Generation", () => {
  it("Clock.next - is near the time in milliseconds × 1000, and a safe integer", () => {
    const clock = new Generation.Clock()

    assert.strictEqual(clock.next(now), now * 1_000)
    assert.strictEqual(clock.next(now + 0.75), now * 1_000 + 1)
    assert.isTrue(Generation.isGeneration(clock.next(8_000_000_000_000)))
  })

  it("Clock.next - rises strictly while time stands still, goes back and goes on", () => {
    const clock = new Generation.Clock()
    let last = 0
    for (const millis of [now, now, now, now - 86_400_000, 0, now + 1, now + 1, now]) {
      const next = clock.next(millis)
      assert.isAbove(next, last)
      last = next
    }
    assert.strictEqual(last, (now + 1) * 1_000 + 2)
  })

  it("Clock.next - gives more than 1,000 generations in a millisecond without repeating one", () => {
    const clock = new Generation.Clock()
    const given = Array.from({ length: 5_000 }, (_, index) => clock.next(now + Math.floor(index / 4_000)))

    assert.strictEqual(new Set(given).size, 5_000)
  })

  it("Clock.witness - moves past the generation of another writer, and never back", () => {
    const clock = new Generation.Clock()

    clock.witness(now * 1_000 + 50_000)
    assert.strictEqual(clock.next(now), now * 1_000 + 50_001)
    clock.witness(5)
    assert.strictEqual(clock.next(now), now * 1_000 + 50_002)
  })

  it("Clock.witness - does not follow a generation that leaves no room for the next ones", () => {
    const clock = new Generation.Clock()

    clock.witness(Number.MAX_SAFE_INTEGER)
    clock.witness(Generation.greatest + 1)
    assert.strictEqual(clock.next(now), now * 1_000)
    clock.witness(Generation.greatest)
    assert.strictEqual(clock.next(now), Generation.greatest + 1)
  })

  it("first - is below whatever a clock gives", () => {
    assert.isTrue(Generation.isGeneration(Generation.first))
    assert.isAbove(new Generation.Clock().next(1), Generation.first)
  })

  it.each([0, -1, 0.5, Number.MAX_SAFE_INTEGER + 1, Number.NaN, Number.POSITIVE_INFINITY])(
    "isGeneration - %d is none",
    (value) => {
      assert.isFalse(Generation.isGeneration(value))
    }
  )
})

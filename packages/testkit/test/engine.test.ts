import { assert, describe, it } from "@effect/vitest"
import { networkInterfaces } from "node:os"
import { placeOf } from "../src/internal/engine.ts"

describe("the engine's place", () => {
  it("is loopback for every address of this machine, such as its bridge, and the address itself elsewhere", () => {
    const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map(({ address }) => address))
    assert.isNotEmpty(own)
    for (const host of [...own, "localhost"])
      assert.deepStrictEqual(placeOf(host), { host: "127.0.0.1", isLocal: true })

    // Addresses of documents (RFC 5737), which no machine has.
    assert.deepStrictEqual(placeOf("203.0.113.7"), { host: "203.0.113.7", isLocal: false })
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { networkInterfaces } from "node:os"
import { placeOf } from "../src/internal/engine.ts"

describe("the engine's place", () => {
  it.effect("is loopback for every address of this machine, and the address itself elsewhere", () =>
    Effect.gen(function* () {
      const own = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses)
      const addresses = own.filter(({ scopeid = 0 }) => scopeid === 0).map(({ address }) => address)
      assert.isNotEmpty(addresses)
      for (const host of [...addresses, "localhost"])
        assert.deepStrictEqual(yield* placeOf(host), { host: "127.0.0.1", isLocal: true })

      // Addresses of documents (RFC 5737), which no machine has.
      assert.deepStrictEqual(yield* placeOf("203.0.113.7"), { host: "203.0.113.7", isLocal: false })
    })
  )

  // Systems list interfaces that are up and running; Docker's bridge does not run while no container does.
  it.effect("is loopback for an address of this machine that is not listed", () =>
    Effect.gen(function* () {
      // Linux has all of 127.0.0.0/8, and lists one of it.
      const address = process.platform === "linux" ? "127.9.9.9" : "127.0.0.1"
      assert.deepStrictEqual(yield* placeOf(address), { host: "127.0.0.1", isLocal: true })
    })
  )
})

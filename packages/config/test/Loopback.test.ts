import { assert, describe, it } from "@effect/vitest"
import * as Loopback from "../src/Loopback.ts"

describe("Loopback.isLoopbackAddress", () => {
  it("is for addresses to listen on", () => {
    for (const address of ["localhost", "127.0.0.1", "127.0.0.53", "::1"]) {
      assert.isTrue(Loopback.isLoopbackAddress(address), address)
    }
    for (const address of [
      "0.0.0.0",
      "::",
      "",
      "10.0.0.1",
      "terrace.localhost",
      "example.com",
      "[::1]",
      "127.0.0.1:80"
    ]) {
      assert.isFalse(Loopback.isLoopbackAddress(address), address)
    }
  })
})

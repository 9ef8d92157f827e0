import { assert, describe, it } from "@effect/vitest"
import { createRequire } from "node:module"

/** Whether a module of the package has been loaded in this process, which runs this file alone. */
const isLoaded = (name: string): boolean =>
  Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes(`/node_modules/${name}/`))

describe("the index", () => {
  it("works without testcontainers; a server in a container loads it", async () => {
    await import("@terrace/testkit")
    await import("@terrace/testkit/FaultProxy")
    await import("@terrace/testkit/ContainerError")
    assert.isFalse(isLoaded("testcontainers"))

    await import("@terrace/testkit/RedisServer")
    assert.isTrue(isLoaded("testcontainers"))
  })
})

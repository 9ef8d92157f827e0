import { Load, Storage } from "@terrace/config"
import * as Effect from "effect/Effect"

export const program = (file: string, environment: Load.Environment) =>
  Effect.gen(function* () {
    const { deployment } = yield* Load.load({ file, environment })
    const { masters, variants } = yield* Storage.make(deployment)
    const names = [...masters.caches, masters.store, ...variants.caches].map(({ tier }) => tier.name)
    return `${names.join(", ")} on port ${deployment.server.port}`
  })

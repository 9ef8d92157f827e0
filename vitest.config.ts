import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

const project = (name: string, directory: string, setup: { readonly globalSetup?: string } = {}) => ({
  extends: true as const,
  test: { name, include: [`${directory}/test/**/*.test.ts`], ...setup }
})

/** For projects whose tests start containers: makes sure that they can, and that none is left. */
const containers = { globalSetup: "./scripts/containers/global-setup.ts" }

/** Most files wait for containers and processes most of the time, so two cores take two; memory for containers bounds the rest. */
const maxWorkers = Math.min(4, Math.max(2, availableParallelism() - 1))

export default defineConfig({
  ssr: { resolve: { conditions: ["@terrace/source", "node", "import", "default"] } },
  resolve: { conditions: ["@terrace/source", "node", "import", "default"] },
  test: {
    reporters: ["default", "./scripts/summary-reporter.ts"],
    testTimeout: 60_000,
    maxWorkers,
    projects: [
      project("config", "packages/config"),
      project("core", "packages/core"),
      project("image", "packages/image"),
      project("legacy-base64", "packages/legacy-base64", containers),
      project("testkit", "packages/testkit", containers),
      project("tier-filesystem", "packages/tier-filesystem"),
      project("tier-memory", "packages/tier-memory"),
      project("tier-redis", "packages/tier-redis", containers),
      project("tier-s3", "packages/tier-s3", containers),
      project("image-server", "services/image-server"),
      project("integration", "integration-tests", containers)
    ]
  }
})

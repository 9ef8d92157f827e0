import { defineConfig } from "vitest/config"

const project = (name: string, directory: string) => ({
  extends: true as const,
  test: { name, include: [`${directory}/test/**/*.test.ts`] }
})

export default defineConfig({
  ssr: { resolve: { conditions: ["@terrace/source", "node", "import", "default"] } },
  resolve: { conditions: ["@terrace/source", "node", "import", "default"] },
  test: {
    reporters: ["default", "./scripts/summary-reporter.ts"],
    testTimeout: 60_000,
    projects: [
      project("core", "packages/core"),
      project("image", "packages/image"),
      project("testkit", "packages/testkit"),
      project("tier-filesystem", "packages/tier-filesystem"),
      project("tier-memory", "packages/tier-memory"),
      project("image-server", "services/image-server"),
      project("integration", "integration-tests")
    ]
  }
})

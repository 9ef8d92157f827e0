/**
 * Ends a test run with one plain line: `N passed, N failed, N skipped`.
 *
 * In a run of all stages (`test.ts`) the time of each stands before it.
 */
import type { Reporter, TestModule } from "vitest/node"
import { type Stage, stagesVariable, table } from "./stages.ts"

export default class SummaryReporter implements Reporter {
  private start = 0

  onTestRunStart(): void {
    this.start = performance.now()
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>): void {
    const before = process.env[stagesVariable]
    if (before !== undefined) {
      const stages: ReadonlyArray<Stage> = JSON.parse(before) as ReadonlyArray<Stage>
      process.stdout.write(`\n${table([...stages, ...this.stages(modules)])}`)
    }
    const counts = { passed: 0, failed: errors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      // What fails outside of tests: a file that cannot be read, a layer or a hook of a block.
      for (const part of [module, ...module.children.allSuites()]) if (part.errors().length > 0) counts.failed += 1
      for (const test of module.children.allTests()) counts[test.result().state] += 1
    }
    process.stdout.write(
      `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped + counts.pending} skipped\n`
    )
  }

  /** The set-up of containers, which tells its time in the environment, and the tests. */
  private stages(modules: ReadonlyArray<TestModule>): ReadonlyArray<Stage> {
    const setup = Number(process.env["TERRACE_CONTAINERS_MILLIS"] ?? 0)
    const work = new Map<string, number>()
    for (const module of modules) {
      const { collectDuration, duration, environmentSetupDuration, prepareDuration, setupDuration } =
        module.diagnostic()
      const millis = collectDuration + duration + environmentSetupDuration + prepareDuration + setupDuration
      work.set(module.project.name, (work.get(module.project.name) ?? 0) + millis)
    }
    return [
      { name: "container set-up", millis: setup },
      {
        name: "tests",
        millis: performance.now() - this.start - setup,
        parts: Array.from(work, ([name, millis]) => ({ name, millis }))
      }
    ]
  }
}

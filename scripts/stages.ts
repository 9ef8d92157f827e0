/** The stages of a test run and their times. */

export interface Stage {
  readonly name: string
  readonly millis: number
  /** What it consists of; parts run side by side, so their times may add up to more. */
  readonly parts?: ReadonlyArray<{ readonly name: string; readonly millis: number }>
}

/** Environment variable that hands the stages before the tests, as JSON, to the reporter of the tests. */
export const stagesVariable = "TERRACE_STAGES"

/** One line for each stage and part, and the sum. */
export const table = (stages: ReadonlyArray<Stage>): string => {
  const line = (name: string, millis: number) => `${name.padEnd(24)}${(millis / 1_000).toFixed(1).padStart(8)} s\n`
  const lines = stages.flatMap(({ millis, name, parts = [] }) => [
    line(name, millis),
    ...parts.map((part) => line(`  ${part.name}`, part.millis))
  ])
  const sum = stages.reduce((total, { millis }) => total + millis, 0)
  return `${lines.join("")}${line("total", sum)}`
}

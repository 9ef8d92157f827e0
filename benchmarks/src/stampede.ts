/**
 * What happens when 10,000 readers ask at once for what nobody has: how often it is made, and how long until the last
 * reader has it. Usage: `npm run stampede -w benchmarks`; the method is told in the README.
 */
import { contenders } from "./stampede/contenders.ts"
import { compete, type Contestant, inRounds } from "./support/Contestant.ts"
import { machine, versions } from "./support/machine.ts"
import { median, spread } from "./support/statistics.ts"
import { markdown } from "./support/table.ts"

const rounds = 21
/** The ratios are to this contender. */
const reference = "bentocache `getOrSet`"

const results = new Map(
  contenders.map(({ name }) => [
    name,
    { clock: new Array<number>(), processor: new Array<number>(), runs: new Array<number>() }
  ])
)

await compete(new URL("stampede/measure.ts", import.meta.url), async (enter) => {
  const contestants = new Map<string, Contestant>()
  for (const name of results.keys()) contestants.set(name, await enter(name))
  await inRounds(rounds, contestants, async (name, { ask }) => {
    const { clock = Number.NaN, processor = Number.NaN, runs = Number.NaN } = await ask("round")
    const result = results.get(name)
    result?.clock.push(clock)
    result?.processor.push(processor)
    result?.runs.push(runs)
  })
  for (const contestant of contestants.values()) await contestant.end()
})

const table = markdown(
  ["10,000 readers, one missing key", "made, times", "all answered, ms", "processor, ms", "ratio"],
  [...results].map(([name, { clock, processor, runs }]) => [
    name,
    Math.min(...runs) === Math.max(...runs) ? `${runs[0]}` : `${Math.min(...runs)}–${Math.max(...runs)}`,
    spread(clock),
    spread(processor),
    (median(processor) / median(results.get(reference)?.processor ?? [])).toFixed(2)
  ])
)
process.stdout.write(
  [
    machine(),
    await versions(["effect", "bentocache", "cacheable", "lru-cache"]),
    `${rounds} alternating rounds; median (smallest–largest); ratio of the medians of processor time to ${reference}\n`,
    `${table}\n`
  ].join("\n")
)

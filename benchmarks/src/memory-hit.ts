/**
 * What one hit in memory costs, in nanoseconds and in bytes: a Terrace chain beside other caches for Node.
 *
 * Each contender has a process of its own, all on one core; rounds alternate, and the ratio of the medians is what counts.
 * How it is measured, and what it does not say, is told in the README. Needs no build. Usage:
 * `npm run memory-hit -w benchmarks`.
 */
import { contenders } from "./memory-hit/contenders.ts"
import { keyCount, type Pattern, patterns, seed, valueBytes } from "./memory-hit/workload.ts"
import { compete, type Contestant, inRounds } from "./support/Contestant.ts"
import { machine, versions } from "./support/machine.ts"
import { median, spread } from "./support/statistics.ts"
import { markdown } from "./support/table.ts"

const rounds = 7
/** The ratios are to this contender: the faster way to read of the two. */
const reference = "bentocache `getOrSet`"
/** A young generation that holds what the sample allocates, in MiB. */
const roomy = ["--min-semi-space-size=256", "--max-semi-space-size=256"]

const results = new Map(
  contenders.map(({ name }) => [
    name,
    { uniform: new Array<number>(), zipf: new Array<number>(), share: new Array<number>(), bytes: Number.NaN, same: 0 }
  ])
)
const resultOf = (name: string) => {
  const result = results.get(name)
  if (result === undefined) throw new Error(`no contender is named ${name}`)
  return result
}

await compete(new URL("memory-hit/measure.ts", import.meta.url), async (enter) => {
  for (const [name, result] of results) {
    const contestant = await enter(name, roomy)
    result.bytes = (await contestant.ask("allocations"))["bytes"] ?? Number.NaN
    await contestant.end()
  }

  const contestants = new Map<string, Contestant>()
  for (const [name, result] of results) {
    const contestant = await enter(name)
    contestants.set(name, contestant)
    result.same = contestant.opened["same"] ?? 0
  }
  await inRounds(rounds, contestants, async (name, { ask }) => {
    for (const pattern of patterns) {
      const { nanos = Number.NaN, share = Number.NaN } = await ask(pattern)
      resultOf(name)[pattern].push(nanos)
      resultOf(name).share.push(share)
    }
  })
  for (const contestant of contestants.values()) await contestant.end()
})

const ratio = (name: string, pattern: Pattern): string =>
  (median(resultOf(name)[pattern]) / median(resultOf(reference)[pattern])).toFixed(2)

const table = markdown(
  ["one read", "uniform, ns", "ratio", "Zipf, ns", "ratio", "allocated, bytes", "copies"],
  [...results].map(([name, { bytes, same, uniform, zipf }]) => [
    name,
    spread(uniform),
    ratio(name, "uniform"),
    spread(zipf),
    ratio(name, "zipf"),
    bytes.toFixed(0),
    same === keyCount ? "none" : `${keyCount - same}`
  ])
)
const shares = [...results.values()].flatMap(({ share }) => share)
process.stdout.write(
  [
    machine(),
    await versions(["effect", "bentocache", "cacheable", "unstorage", "lru-cache"]),
    `${keyCount} keys, values of ${valueBytes} bytes, seed ${seed}; ${rounds} alternating rounds of at least 1 s for each pattern`,
    `nanoseconds of processor time per read: median (smallest–largest); ratio of the medians to ${reference}`,
    `while they were measured, the processes had the core ${(median(shares) * 100).toFixed(0)} % of the time (at least ${(Math.min(...shares) * 100).toFixed(0)} %)\n`,
    `${table}\n`
  ].join("\n")
)

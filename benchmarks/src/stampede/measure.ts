/**
 * The process of one contender. Arguments: its name, and a directory of its own.
 *
 * Questions: `open` warms up; `round` lets everybody ask for a key that nobody has; `end` closes.
 */
import { setImmediate } from "node:timers/promises"
import { serve } from "../support/Contestant.ts"
import { contenders } from "./contenders.ts"

const [name, directory = ""] = process.argv.slice(2)
const contender = contenders.find((contender) => contender.name === name)
if (contender === undefined) throw new Error(`no contender is named ${name}`)

const readers = 10_000
const warmUps = 5
const value = new Uint8Array(100_000).fill(7)

const state = { keys: 0, runs: 0, open: Promise.withResolvers<void>() }

const opening = (async () =>
  contender.open(async () => {
    state.runs += 1
    await state.open.promise
    return value
  }, directory))()

/** The producer ends as soon as the last reader has asked, so that its own time is not in the figure. */
const round = async (): Promise<{
  readonly runs: number
  readonly clock: number
  readonly processor: number
  readonly answers: number
}> => {
  const { idle, read } = await opening
  const key = `image-${state.keys++}/master`
  state.runs = 0
  state.open = Promise.withResolvers<void>()
  const began = process.hrtime.bigint()
  const usage = process.cpuUsage()
  const reads = Array.from({ length: readers }, () => read(key))
  await setImmediate()
  state.open.resolve()
  const values = await Promise.all(reads)
  const { system, user } = process.cpuUsage(usage)
  const clock = Number(process.hrtime.bigint() - began) / 1e6
  await idle?.()
  const answers = values.filter((bytes) => bytes?.byteLength === value.byteLength && bytes[0] === value[0]).length
  if (answers !== readers) throw new Error(`${answers} of ${readers} readers got the value`)
  return { answers, clock, processor: (system + user) / 1_000, runs: state.runs }
}

serve(async (question) => {
  switch (question) {
    case "open":
      for (let warmUp = 0; warmUp < warmUps; warmUp++) await round()
      return {}
    case "round":
      return round()
    case "end":
      await (await opening).end?.()
      return {}
    default:
      throw new Error(`no such question: ${question}`)
  }
})

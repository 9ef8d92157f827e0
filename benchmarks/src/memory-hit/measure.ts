/**
 * The process of one contender. Arguments: its name, and a directory of its own.
 *
 * Questions: `open` fills, verifies and warms up; `uniform` and `zipf` time reads; `allocations` counts bytes; `end`
 * verifies once more.
 */
import { GCProfiler } from "node:v8"
import { serve } from "../support/Contestant.ts"
import { median } from "../support/statistics.ts"
import { contenders } from "./contenders.ts"
import type { Opened } from "./Contender.ts"
import * as Workload from "./workload.ts"

const [name, directory = ""] = process.argv.slice(2)
const contender = contenders.find((contender) => contender.name === name)
if (contender === undefined) throw new Error(`no contender is named ${name}`)

const roundNanos = 1_000_000_000n
const warmUpNanos = 2_000_000_000n
const samples = 9

/** Reads one order through; answers how many reads that were. Every value must have come back. */
const readThrough = async (opened: Opened, order: Workload.Order): Promise<number> => {
  const reads = order === "sample" ? Workload.sampleLength : Workload.orderLength
  const whole = await opened.read(order)
  if (whole !== reads) throw new Error(`${whole} of ${reads} reads had their value`)
  return reads
}

/**
 * Nanoseconds per read, over as many reads as it takes to last; and the share of that time that the process had the core.
 * Counted is the time of the processor, with the threads of compiler and garbage collector: what else runs on the machine
 * would be in the time of the clock.
 */
const time = async (opened: Opened, order: Workload.Order, lasting: bigint) => {
  const began = process.hrtime.bigint()
  const usage = process.cpuUsage()
  let reads = 0
  let elapsed = 0n
  do {
    reads += await readThrough(opened, order)
    elapsed = process.hrtime.bigint() - began
  } while (elapsed < lasting)
  const { system, user } = process.cpuUsage(usage)
  const nanos = (system + user) * 1_000
  return { nanos: nanos / reads, share: nanos / Number(elapsed) }
}

/** Bytes that the heap grows by per read; samples in which anything was collected do not count. */
const allocations = async (opened: Opened): Promise<number> => {
  const counted: Array<number> = []
  for (let sample = 0; counted.length < samples; sample++) {
    if (sample === 10 * samples)
      throw new Error("something was collected in each sample: the young generation is small")
    const profiler = new GCProfiler()
    profiler.start()
    const before = process.memoryUsage().heapUsed
    const reads = await readThrough(opened, "sample")
    const bytes = process.memoryUsage().heapUsed - before
    if (profiler.stop().statistics.length === 0) counted.push(bytes / reads)
  }
  return median(counted)
}

const workload = Workload.make()

/** Reads every key once; answers how many values are the very objects that were stored. */
const verify = async (opened: Opened): Promise<number> => {
  let same = 0
  for (const index of Workload.indices) {
    const bytes = await opened.value(index)
    Workload.verify(index, bytes)
    if (bytes === workload.value(index)) same += 1
  }
  return same
}

const opening = (async () => contender.open(workload, directory))()

serve(async (question) => {
  const opened = await opening
  switch (question) {
    case "open": {
      const same = await verify(opened)
      for (const pattern of Workload.patterns) await time(opened, pattern, warmUpNanos)
      return { same }
    }
    case "uniform":
    case "zipf":
      return time(opened, question, roundNanos)
    case "allocations":
      return { bytes: await allocations(opened) }
    case "end": {
      const same = await verify(opened)
      await opened.end?.()
      return { same }
    }
    default:
      throw new Error(`no such question: ${question}`)
  }
})

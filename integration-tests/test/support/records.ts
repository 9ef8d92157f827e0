/** Old records of a deployment, and nodes that are in the middle of reading one. */
import * as Effect from "effect/Effect"
import type { Node, Nodes } from "./Deployment.ts"
import { get } from "./Deployment.ts"
import { eventually } from "./eventually.ts"
import * as OldRecords from "./OldRecords.ts"

export const write = ({ redis }: Nodes, id: string, text: string) =>
  Effect.promise(() => OldRecords.write(redis, id, text))

export const recordOf = ({ redis }: Nodes, id: string) => Effect.promise(() => redis.get(OldRecords.keyOf(id)))

export const isCompacted = (nodes: Nodes, id: string) =>
  Effect.map(recordOf(nodes, id), (text) => text !== null && !text.includes("base64_data"))

/** Calls of commands so far, as Redis counts them; those inside scripts too. */
export const calls = ({ redis }: Nodes, ...commands: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const info = await redis.info("commandstats")
    return commands.map((command) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0))
  })

/** Reads of records so far. */
export const reads = (nodes: Nodes) => Effect.map(calls(nodes, "getrange"), ([count = 0]) => count)

/**
 * Has a node begin to read a record, and holds back what Redis answers: it holds the lease, and has not seen yet what Redis
 * has read for it. Answers what it answers.
 */
export const beginReading = (nodes: Nodes, node: Node, id: string) =>
  Effect.gen(function* () {
    const before = yield* reads(nodes)
    yield* node.redis.set({ toClient: { latency: "300 millis" } })
    const reader = yield* Effect.forkChild(Effect.exit(get(node, id)))
    yield* eventually(
      "Redis has read the record",
      Effect.map(reads(nodes), (now) => now > before)
    )
    yield* node.redis.set({ toClient: { blackHole: true } })
    return reader
  })

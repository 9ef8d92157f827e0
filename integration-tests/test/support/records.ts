/** Old records of a deployment, and nodes that are in the middle of reading one. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Node, Nodes } from "./Deployment.ts"
import { get } from "./Deployment.ts"
import type { Answer } from "./Http.ts"
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

/** What the masters of a node have taken from old records, put into the store, and compacted; from its `GET /tiers`. */
export const workOf = ({ chains }: Answer) => {
  const tiers = chains?.find(({ chain }) => chain === "masters")?.tiers
  const counter = (tier: string, name: string) =>
    Number(tiers?.find((report) => report.tier === tier)?.counters[name] ?? 0)
  return { taken: counter("legacy", "hits"), stored: counter("s3", "stored"), letGo: counter("legacy", "removed") }
}

/** Done when Redis has been asked for the record. */
const asked = ({ redis }: Nodes, id: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => redis.monitor()),
      (monitor) => Effect.sync(() => monitor.disconnect())
    ),
    (monitor) => {
      const seen = Deferred.makeUnsafe<void>()
      monitor.on("monitor", (_: string, [command, key]: ReadonlyArray<string>) => {
        if (command?.toLowerCase() === "getrange" && key === OldRecords.keyOf(id))
          Deferred.doneUnsafe(seen, Effect.void)
      })
      return Deferred.await(seen)
    }
  )

/**
 * Has a node begin to read a record, and holds back what Redis answers: it holds the lease, and has not seen yet what Redis
 * has read for it. Answers what it answers.
 */
export const beginReading = (nodes: Nodes, node: Node, id: string) =>
  Effect.gen(function* () {
    const isRead = yield* asked(nodes, id)
    yield* node.redis.set({ toClient: { latency: "300 millis" } })
    const reader = yield* Effect.forkChild(Effect.exit(get(node, id)))
    yield* isRead
    yield* node.redis.set({ toClient: { blackHole: true } })
    return reader
  })

/**
 * How soon a node serves what another has written: two servers over one bucket, with messages through Redis and without.
 *
 * One node takes uploads and removals of eight images, one write at a time; the other has them in memory, and is asked again
 * and again, from the moment that the write is acknowledged until it serves the new state. Contenders: the bus; the bus cut,
 * where `revalidateAfter` alone makes a node look again. Needs a container engine and a build.
 * Usage: `npm run build && npm run nodes -w benchmarks`.
 */
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { processor } from "./support/machine.ts"
import { type Server, start } from "./support/server.ts"
import { quantile, short } from "./support/statistics.ts"
import { markdown } from "./support/table.ts"

const images = 8
const warmUp = 50

const picture = (step: number): Promise<Buffer> =>
  sharp({ create: { width: 40 + step, height: 60, channels: 3, background: { r: step * 20, g: 80, b: 120 } } })
    .png()
    .toBuffer()

/** What a node answers: the ETag, or the status of an error. */
const stateOf = async (node: Server, id: string): Promise<string> => {
  const response = await fetch(`${node.url}/images/${id}`)
  await response.arrayBuffer()
  return response.headers.get("etag") ?? String(response.status)
}

/** Writes on one node, and milliseconds from each answer until the other serves the new state. */
const delays = async (writer: Server, reader: Server, name: string, writes: number): Promise<ReadonlyArray<number>> => {
  const pictures = await Promise.all(Array.from({ length: 4 }, (_, step) => picture(step)))
  const measured: Array<number> = []
  for (let write = -warmUp; write < writes; write++) {
    const turn = write + warmUp
    const id = `${name}_${turn % images}`
    // In memory, as it is now.
    await stateOf(reader, id)
    await stateOf(reader, id)
    const isRemoval = Math.floor(turn / images) % 4 === 3
    const response = await fetch(
      `${writer.url}/images/${id}`,
      isRemoval
        ? { method: "DELETE" }
        : { method: "PUT", body: new Uint8Array(pictures[Math.floor(turn / images) % 4] ?? Buffer.alloc(0)) }
    )
    const acknowledged = performance.now()
    const { etag } = (await response.json()) as { readonly etag?: string }
    if (!response.ok) throw new Error(`${id}: ${response.status}`)
    const expected = isRemoval ? /^(404|503)$/ : undefined
    for (;;) {
      const seen = await stateOf(reader, id)
      if (expected === undefined ? seen === etag : expected.test(seen)) break
    }
    if (write >= 0) measured.push(performance.now() - acknowledged)
  }
  return measured
}

const program = Effect.gen(function* () {
  const redis = yield* RedisServer.make({ config: { save: "" } })
  const s3 = yield* S3Server.make()
  const toReader = yield* FaultProxy.make({ port: redis.port })
  const bucket = yield* s3.createBucket
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "terrace-bench-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const node = (name: string, redisUrl: string, revalidateAfter: string) =>
    Effect.acquireRelease(
      Effect.promise(() =>
        start({
          TERRACE_DATA_DIR: join(directory, name),
          TERRACE_EFFORT: "0",
          TERRACE_S3_BUCKET: bucket,
          TERRACE_S3_ENDPOINT: s3.endpoint,
          AWS_ACCESS_KEY_ID: s3.accessKeyId,
          AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
          TERRACE_REDIS_URL: redisUrl,
          TERRACE_REVALIDATE_AFTER: revalidateAfter
        })
      ),
      ({ child }) =>
        Effect.promise(async () => {
          const ended = once(child, "exit")
          child.kill()
          await ended
        })
    )
  const writer = yield* node("writer", redis.url, "1 hour")
  const reader = yield* node("reader", redis.url, "1 hour")
  const cutOff = yield* node("cut-off", `redis://${toReader.host}:${toReader.port}`, "1 second")
  const withBus = yield* Effect.promise(() => delays(writer, reader, "bus", 1_000))
  yield* toReader.down
  const without = yield* Effect.promise(() => delays(writer, cutOff, "cut", 100))

  const row = (name: string, values: ReadonlyArray<number>) => [
    name,
    String(values.length),
    ...[0.5, 0.99, 1].map((share) => short(quantile(values, share)))
  ]
  const head = [
    "from the answer to a write until the other node serves it",
    "writes",
    "p50, ms",
    "p99, ms",
    "largest, ms"
  ]
  process.stdout.write(
    [
      processor(),
      markdown(head, [
        row("messages through Redis, revalidateAfter 1 hour", withBus),
        row("no messages, revalidateAfter 1 second", without)
      ]),
      ""
    ].join("\n")
  )
})

await Effect.runPromise(Effect.scoped(program))

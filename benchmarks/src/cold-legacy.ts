/**
 * The first answer for an old record of 3 MB: the server beside the steps that no server can spare, done by hand.
 *
 * By hand: `GET` from Redis, `JSON.parse`, `Buffer.from(…, "base64")`, WebP by sharp with the same quality and effort, one
 * after the other in a process of its own. Both take turns on the same records, each its own copy, after a warm-up; the
 * ratio of the medians is what counts. Needs a container engine and a build.
 * Usage: `npm run build && npm run cold-legacy -w benchmarks`.
 */
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import { Redis } from "ioredis"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { processor } from "./support/machine.ts"
import { start } from "./support/server.ts"
import { median, spread } from "./support/statistics.ts"

const rounds = 31
const warmUp = 5
const quality = 85
const effort = 4

/** A picture with slopes, edges and grain whose PNG takes some 3 MB. */
const picture = (seed: number): Promise<Buffer> => {
  const [width, height] = [1_280, 1_000]
  const pixels = Buffer.alloc(width * height * 3)
  let noise = seed
  for (let at = 0; at < pixels.length; at += 3) {
    const x = (at / 3) % width
    const y = Math.floor(at / 3 / width)
    noise = (Math.imul(noise, 1_103_515_245) + 12_345) >>> 0
    const grain = (noise >>> 16) % 24
    pixels[at] = (x * 180) / width + grain + ((x >> 5) % 2 === (y >> 6) % 2 ? 40 : 0)
    pixels[at + 1] = (y * 180) / height + grain
    pixels[at + 2] = 120 + 60 * Math.sin((x + y) / 40) + grain
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}

const timed = async (work: () => Promise<number>): Promise<{ readonly millis: number; readonly bytes: number }> => {
  const began = performance.now()
  const bytes = await work()
  return { millis: performance.now() - began, bytes }
}

const run = async (redisUrl: string): Promise<void> => {
  const redis = new Redis(redisUrl)
  const directory = await mkdtemp(join(tmpdir(), "terrace-bench-"))
  const server = await start({
    TERRACE_PORT: "0",
    TERRACE_DATA_DIR: join(directory, "data"),
    TERRACE_REDIS_URL: redisUrl,
    TERRACE_EFFORT: String(effort),
    TERRACE_QUALITY: String(quality)
  })
  try {
    const hands = async (id: string): Promise<number> => {
      const text = (await redis.get(`image:${id}`)) ?? ""
      const record = JSON.parse(text) as { readonly base64_data: string }
      const webp = await sharp(Buffer.from(record.base64_data, "base64")).webp({ quality, effort }).toBuffer()
      return webp.byteLength
    }
    const get = async (id: string): Promise<number> => {
      const response = await fetch(`${server.url}/images/${id}`)
      const { byteLength } = await response.arrayBuffer()
      if (!response.ok) throw new Error(`${id}: ${response.status}`)
      return byteLength
    }
    /** What follows the answer must not run into the next measurement. */
    const compacted = async (id: string): Promise<void> => {
      while ((await redis.strlen(`image:${id}`)) > 10_000) await new Promise((resolve) => setTimeout(resolve, 20))
    }

    const millis = { hands: new Array<number>(), server: new Array<number>() }
    let recordBytes = 0
    for (let round = -warmUp; round < rounds; round++) {
      const image = await picture(round + 100)
      const record = `{"title": "The Bottle Beacon", "base64_data": "${image.toString("base64")}"}`
      recordBytes = record.length
      const [own, theirs] = [`hands_${round + warmUp}`, `server_${round + warmUp}`]
      await redis.mset(`image:${own}`, record, `image:${theirs}`, record)
      const byHand = async () => timed(() => hands(own))
      const byServer = async () => timed(() => get(theirs))
      const [first, second] = round % 2 === 0 ? [byHand, byServer] : [byServer, byHand]
      const one = await first()
      if (first === byServer) await compacted(theirs)
      const two = await second()
      if (second === byServer) await compacted(theirs)
      await redis.del(`image:${own}`)
      if (round < 0) continue
      millis.hands.push((first === byHand ? one : two).millis)
      millis.server.push((first === byHand ? two : one).millis)
    }
    process.stdout.write(
      [
        processor(),
        `record of ${recordBytes} bytes, ${rounds} rounds, quality ${quality}, effort ${effort}`,
        `by hand          ${spread(millis.hands)} ms`,
        `first answer     ${spread(millis.server)} ms`,
        `ratio of medians ${(median(millis.server) / median(millis.hands)).toFixed(2)}\n`
      ].join("\n")
    )
  } finally {
    const ended = once(server.child, "exit")
    server.child.kill()
    await ended
    redis.disconnect()
    await rm(directory, { recursive: true, force: true })
  }
}

await Effect.runPromise(
  Effect.scoped(Effect.flatMap(RedisServer.make({ config: { save: "" } }), ({ url }) => Effect.promise(() => run(url))))
)

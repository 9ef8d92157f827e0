/**
 * Hits in memory while S3 takes three seconds for each call, beside hits while it is well.
 *
 * One server over a real S3 server, with a proxy between that delays its answers in some of the phases. In each phase one
 * client asks for an image that is in memory and confirmed, over and over. In two of three kinds of phases others ask for
 * images that only S3 could know: with a slow S3 they wait, until the breaker of the tier opens. The ratio of the medians
 * of the phases' percentiles is what counts.
 * Needs a container engine and a build. Usage: `npm run build && npm run slow-s3 -w benchmarks`.
 */
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { processor } from "./support/machine.ts"
import { start } from "./support/server.ts"
import { median, short, spread } from "./support/statistics.ts"

const rounds = 5
/** Longer than a read of S3 may take, so that a phase has both: reads that wait, and an open breaker. */
const phaseMillis = 5_000
const others = 8
const kinds = ["alone", "well", "slow"] as const
type Kind = (typeof kinds)[number]

/** By node:http on one connection: `fetch` takes longer than what is measured. */
const get = (agent: Agent, url: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(url, { agent }, (response) => {
      response.resume()
      response.once("end", () => resolve(response.statusCode ?? 0))
    })
      .once("error", reject)
      .end()
  })

const percentile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)] ?? Number.NaN

const run = (settings: Readonly<Record<string, string>>, slow: Effect.Effect<void>, well: Effect.Effect<void>) =>
  Effect.promise(async () => {
    const directory = await mkdtemp(join(tmpdir(), "terrace-bench-"))
    const server = await start({
      ...settings,
      TERRACE_PORT: "0",
      TERRACE_DATA_DIR: join(directory, "data"),
      // Every hit is confirmed, and no comparison is due.
      TERRACE_REVALIDATE_AFTER: "1 hour"
    })
    const agents = { measured: new Agent({ keepAlive: true, maxSockets: 1 }), others: new Agent({ keepAlive: true }) }
    try {
      const body = await sharp({ create: { width: 400, height: 300, channels: 3, background: "#379" } })
        .png()
        .toBuffer()
      const hot = `${server.url}/images/hot`
      const stored = await fetch(hot, { method: "PUT", body: new Uint8Array(body) })
      if (!stored.ok) throw new Error(await stored.text())

      const load = { isOver: false }
      let next = 0
      /** Asks for what nobody has, at most so often that the load is the same whether S3 answers at once or not. */
      const other = async (statuses: Map<number, number>) => {
        while (!load.isOver) {
          const status = await get(agents.others, `${server.url}/images/nobody_${next++}`)
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
      const phase = async (kind: Kind) => {
        await Effect.runPromise(kind === "slow" ? slow : well)
        const statuses = new Map<number, number>()
        load.isOver = false
        const crowd = Array.from({ length: kind === "alone" ? 0 : others }, () => other(statuses))
        const millis: Array<number> = []
        for (const end = performance.now() + phaseMillis; performance.now() < end;) {
          const began = performance.now()
          const status = await get(agents.measured, hot)
          millis.push(performance.now() - began)
          if (status !== 200) throw new Error(`a hit in memory was answered ${status}`)
        }
        load.isOver = true
        await Promise.all(crowd)
        return { p50: percentile(millis, 0.5), p99: percentile(millis, 0.99), hits: millis.length, statuses }
      }
      const breaker = async () => {
        const { chains } = (await (await fetch(`${server.url}/tiers`)).json()) as {
          readonly chains: ReadonlyArray<{ readonly tiers: ReadonlyArray<{ readonly breaker: string }> }>
        }
        return chains[0]?.tiers.at(-1)?.breaker
      }
      /** So that each phase begins with a breaker that is closed. */
      const recovered = async () => {
        await Effect.runPromise(well)
        while ((await get(agents.others, `${server.url}/images/nobody_${next++}`)) !== 404) {
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      }

      await phase("alone")
      const figuresOf = () => ({ p50: new Array<number>(), p99: new Array<number>(), hits: new Array<number>() })
      const figures = { alone: figuresOf(), well: figuresOf(), slow: figuresOf() }
      const answers = new Map<string, number>()
      const breakers: Array<string | undefined> = []
      for (let round = 0; round < rounds; round++) {
        for (let turn = 0; turn < kinds.length; turn++) {
          const kind = kinds[(round + turn) % kinds.length] ?? "alone"
          const { hits, p50, p99, statuses } = await phase(kind)
          figures[kind].p50.push(p50)
          figures[kind].p99.push(p99)
          figures[kind].hits.push(hits)
          for (const [status, count] of statuses) {
            answers.set(`${kind} ${status}`, (answers.get(`${kind} ${status}`) ?? 0) + count)
          }
          if (kind === "slow") {
            breakers.push(await breaker())
            await recovered()
          }
        }
      }
      const row = (kind: Kind, label: string) =>
        `${label}  p50 ${spread(figures[kind].p50)} ms   p99 ${spread(figures[kind].p99)} ms   ${spread(figures[kind].hits)} hits`
      const ratio = (key: "p50" | "p99", to: Kind) => short(median(figures.slow[key]) / median(figures[to][key]))
      process.stdout.write(
        [
          processor(),
          `${rounds} rounds of phases of ${phaseMillis / 1_000} s`,
          row("alone", "alone                         "),
          row("well", `S3 well, ${others} other clients     `),
          row("slow", `S3 takes 3 s, ${others} other clients`),
          `ratio to alone: p50 ${ratio("p50", "alone")}, p99 ${ratio("p99", "alone")}`,
          `ratio to S3 well: p50 ${ratio("p50", "well")}, p99 ${ratio("p99", "well")}`,
          `answers to the others: ${[...answers].map(([what, count]) => `${what}: ${count}`).join(", ")}`,
          `the breaker at the end of each slow phase: ${breakers.join(", ")}\n`
        ].join("\n")
      )
    } finally {
      const ended = once(server.child, "exit")
      server.child.kill()
      await ended
      for (const agent of Object.values(agents)) agent.destroy()
      await rm(directory, { recursive: true, force: true })
    }
  })

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const s3 = yield* S3Server.make()
      const proxy = yield* FaultProxy.make({ host: s3.host, port: s3.port })
      const settings = {
        TERRACE_S3_BUCKET: yield* s3.createBucket,
        TERRACE_S3_ENDPOINT: `http://${proxy.host}:${proxy.port}`,
        AWS_ACCESS_KEY_ID: s3.accessKeyId,
        AWS_SECRET_ACCESS_KEY: s3.secretAccessKey
      }
      const weather = (faults: FaultProxy.Faults) => Effect.orDie(proxy.set(faults))
      yield* run(settings, weather({ toClient: { latency: "3 seconds" } }), weather({}))
    })
  )
)

/**
 * Drives a chain through a script and checks what it has answered.
 *
 * Operations begin one after another and run beside one another; how they interleave is decided by the pauses of the
 * script, the delays of the faults and the test clock, so a script gives the same history every time. Time goes on; the
 * clock that chains and tiers read may be set back.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import * as Body from "../../src/Body.ts"
import type * as Chain from "../../src/Chain.ts"
import * as Key from "../../src/Key.ts"
import type { Tier } from "../../src/Tier.ts"
import { answerOfRead, answerOfWrite, withBytes, withoutBytes } from "./answers.ts"
import { violations } from "./check.ts"
import type { Answer, Event, History, Read, Write } from "./History.ts"
import { type Resting, violationsAtRest } from "./rest.ts"
import { hasOrigin, hasStore, isTwofold, type Script, type Step } from "./Script.ts"
import * as World from "./World.ts"

const groups = ["hero", "sprite"]
const keys = [Key.makeUnsafe("hero", "a"), Key.makeUnsafe("hero", "b"), Key.makeUnsafe("sprite", "a")]
const keyOf = (index: number) => keys[index] ?? Key.makeUnsafe("hero", "a")

/** What the clock shows when a run begins: late enough to be set back. */
const beginning = 30 * 24 * 3_600_000

/** The sentences that the chain breaks when it is driven through the script. */
export const run = (script: Script, makeChain: World.MakeChain): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const time = yield* TestClock.testClockWith(Effect.succeed)
    let ahead = beginning
    let latest = beginning
    const now = () => time.currentTimeMillisUnsafe() + ahead
    const clock = { ...time, currentTimeMillisUnsafe: now, currentTimeMillis: Effect.sync(now) }
    return yield* Effect.provideService(
      driven(script, makeChain, {
        now: () => {
          latest = Math.max(latest, now())
          return { at: time.currentTimeMillisUnsafe(), shown: now(), latest }
        },
        setBack: (millis) => {
          latest = Math.max(latest, now())
          ahead -= millis
        }
      }),
      Clock.Clock,
      clock
    )
  }).pipe(Effect.provide(Logger.layer([])), Random.withSeed(String(script.seed)), Effect.provide(TestClock.layer()))

interface Time {
  /** Time that has passed, what the clock shows, and the latest that it has shown; in milliseconds. */
  readonly now: () => { readonly at: number; readonly shown: number; readonly latest: number }
  readonly setBack: (millis: number) => void
}

const driven = (script: Script, makeChain: World.MakeChain, time: Time): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const events: Array<Event> = []
    const restarts: Array<History["restarts"][number]> = []
    const kills: Array<History["kills"][number]> = []
    const readers: Array<{ readonly event: Event; readonly fiber: Fiber.Fiber<void> }> = []
    let count = 0
    const world = yield* World.make(script, makeChain, {
      count: () => ++count,
      wasWritten: (key, since) =>
        events.some((event) => event._tag === "Write" && event.covers(key) && (event.ended ?? Infinity) > since)
    })
    const processes = [yield* world.begin(0)]
    if (isTwofold(script)) processes.push(yield* world.begin(1))

    /** Runs an operation beside the others, and notes when it began and how it ended. */
    const begin = <A, E>(event: Event, operation: Effect.Effect<A, E>, answerOf: (exit: Exit.Exit<A, E>) => Answer) =>
      Effect.gen(function* () {
        events.push(event)
        const fiber = yield* operation.pipe(
          Effect.onExit((exit) =>
            Effect.sync(() => {
              // Nobody hears what a process says after it was killed.
              if (event.ended !== undefined || (Exit.isFailure(exit) && Exit.hasInterrupts(exit))) return
              const { at, latest } = time.now()
              event.ended = ++count
              event.endedAt = at
              event.latest = latest
              event.answer = answerOf(exit)
            })
          ),
          Effect.ignoreCause,
          Effect.forkChild({ startImmediately: true })
        )
        if (event._tag === "Read") readers.push({ event, fiber })
      })

    const perform = (step: Step): Effect.Effect<void> => {
      const node = "node" in step ? step.node % processes.length : 0
      const process = processes[node]
      if (process === undefined) return Effect.die("no such node")
      const { chain } = process
      const { at: beganAt, shown } = time.now()
      const began = ++count
      const opening = {
        node,
        began,
        beganAt,
        ended: undefined,
        endedAt: undefined,
        latest: undefined,
        answer: undefined,
        isLeft: false
      }
      const read = (key: Key.Key, made?: string, fails = false): Read => ({
        _tag: "Read",
        key,
        made,
        fails,
        ...opening
      })
      const writing = (kind: "put" | "remove", key: Key.Key, more: Partial<Write> = {}): Write => ({
        _tag: "Write",
        kind,
        key,
        covers: ({ text }) => text === key.text,
        content: undefined,
        expiresAt: undefined,
        expected: undefined,
        ...opening,
        ...more
      })
      const put = (key: Key.Key, more: Partial<Chain.Draft> = {}, expected?: number | "absent") => {
        const content = `put ${key.text} ${began}`
        return begin(
          writing("put", key, { content, expected, expiresAt: more.expiresAt }),
          chain.put(key, { ...draftOf(content), ...more }, { expected }),
          answerOfWrite
        )
      }
      const remove = (key: Key.Key, expected?: number) =>
        begin(writing("remove", key, { expected }), chain.remove(key, { expected }), answerOfWrite)

      switch (step._tag) {
        case "Get":
          return begin(read(keyOf(step.key)), withBytes(chain.get(keyOf(step.key))), answerOfRead)
        case "Head":
          return begin(read(keyOf(step.key)), withoutBytes(chain.head(keyOf(step.key))), answerOfRead)
        case "GetOrMake": {
          const key = keyOf(step.key)
          const content = `made ${key.text} ${began}`
          const producer = Effect.andThen(
            step.millis === 0 ? Effect.void : Effect.sleep(step.millis),
            step.fails ? Effect.fail("origin down") : Effect.succeed(draftOf(content))
          )
          return begin(read(key, content, step.fails), withBytes(chain.getOrMake(key, producer)), answerOfRead)
        }
        case "Put":
          return put(keyOf(step.key), {
            freshUntil: step.fresh === null ? undefined : shown + step.fresh,
            expiresAt: step.lifetime === null ? undefined : shown + step.lifetime
          })
        case "Remove":
          return remove(keyOf(step.key))
        case "RemoveGroup": {
          const group = groups[step.group] ?? "hero"
          const event = writing("remove", keyOf(0), {
            kind: "removeGroup",
            key: undefined,
            covers: (key) => key.group === group
          })
          return begin(event, chain.removeGroup(group), answerOfWrite)
        }
        case "WriteIf": {
          const key = keyOf(step.key)
          const last = events.findLast(
            (event): event is Write =>
              event._tag === "Write" &&
              event.kind === "put" &&
              event.covers(key) &&
              event.answer?._tag === "Acknowledged"
          )
          const generation = last?.answer?._tag === "Acknowledged" ? last.answer.generation : 1
          const expected = step.expected === "another" ? generation + 7_000 : generation
          return step.kind === "put"
            ? put(key, {}, step.expected === "absent" ? "absent" : expected)
            : remove(key, step.expected === "another" ? generation - 1 : expected)
        }
        case "Leave": {
          let reader = readers.shift()
          while (reader?.fiber.pollUnsafe() !== undefined) reader = readers.shift()
          if (reader === undefined) return Effect.void
          reader.event.isLeft = true
          return Effect.sync(() => reader.fiber.interruptUnsafe())
        }
        case "Wait":
          return TestClock.adjust(step.millis)
        case "SetBack":
          return Effect.sync(() => time.setBack(step.millis))
        case "Faults": {
          const chaos = process.faults[step.tier]
          return chaos === undefined || script.isFaultless ? Effect.void : World.degrade(chaos, step.tier, step.level)
        }
        case "Losses":
          return Effect.sync(() => void (world.losses = step.rate))
        case "Offer":
          return Effect.sync(() => {
            if (hasOrigin(script)) world.offers.offer(keyOf(step.key), began, beganAt)
          })
        case "Withdraw":
          world.offers.withdraw(keyOf(step.key), began)
          count += 1
          return perform({ ...step, _tag: "Remove" })
        case "OriginFaults":
          return Effect.sync(() => void (world.offers.rate = script.isFaultless ? 0 : step.rate))
        case "Restart":
          return script.isFaultless || !script.restarts ? Effect.void : restart(process, node, step.isKilled)
      }
    }

    const restart = (process: World.Process, node: number, isKilled: boolean): Effect.Effect<void> =>
      Effect.gen(function* () {
        // Without a store nothing outlives a process but what may be out of date.
        if (!hasStore(script)) return
        if (isKilled) {
          yield* process.kill
          for (const event of events) if (event.node === node) event.ended ??= Number.POSITIVE_INFINITY
        } else yield* ended(process)
        const end = { at: ++count, node }
        restarts.push(end)
        if (isKilled) kills.push(end)
        // Generations of one millisecond may be those of the process before.
        yield* TestClock.adjust(1)
        processes[node] = yield* world.begin(node)
      })

    for (const { pause, step } of script.steps) {
      yield* perform(step)
      yield* pause === 0 ? Effect.yieldNow : TestClock.adjust(pause)
    }
    world.offers.rate = 0
    for (const process of processes) yield* healed(process)
    yield* TestClock.adjust("10 minutes")

    const history: History = {
      events,
      offers: world.offers.all,
      restarts,
      kills,
      hasStore: hasStore(script),
      isTwofold: isTwofold(script),
      isFaultless: script.isFaultless
    }
    const broken = [...violations(history), ...world.offers.broken]
    for (const { chain } of processes) {
      const idle = yield* Effect.forkChild(chain.idle, { startImmediately: true })
      if (idle.pollUnsafe() === undefined) broken.push("at rest nothing runs")
    }
    // Who finds what an origin has given finishes what another process has left to do, behind the answer.
    if (hasOrigin(script)) {
      for (const key of keys) {
        for (const { chain } of processes) yield* inTime(Effect.andThen(Effect.orDie(chain.get(key)), chain.idle))
      }
    }
    for (const key of keys) {
      const answered = yield* Effect.forEach(processes, ({ chain }) =>
        Effect.map(
          Effect.tap(inTime(Effect.orDie(chain.get(key))), () => inTime(chain.idle)),
          (found) => (found === undefined ? "never" : found._tag === "Found" ? found.blob.header.generation : undefined)
        )
      )
      const stored = yield* restingIn(world.store, key)
      const cached = yield* Effect.forEach(world.disks, (disk) => restingIn(disk, key))
      broken.push(
        ...violationsAtRest(
          { key, stored, cached: cached.filter((resting) => resting !== undefined), answered },
          history
        )
      )
    }
    for (const process of processes) {
      broken.push(...(yield* unrested.pipe(Effect.provideService(Metric.MetricRegistry, process.registry))))
      yield* ended(process)
    }
    return broken
  })

/** Gauges that must be back at zero when nothing runs. */
const restsAtZero: ReadonlySet<string> = new Set([
  "terrace_floors",
  "terrace_running",
  "terrace_repairs",
  "terrace_held_bytes"
])

const unrested: Effect.Effect<ReadonlyArray<string>> = Effect.map(Metric.snapshot, (all) =>
  all.flatMap(({ attributes, id, state }) => {
    const value = restsAtZero.has(id) && attributes?.["chain"] === "model" && "value" in state ? Number(state.value) : 0
    return value === 0 ? [] : [`at rest ${id} is 0: it is ${value}`]
  })
)

const draftOf = (content: string): Chain.Draft => ({ bytes: Buffer.from(content), contentType: "text/plain" })

const healed = (process: World.Process): Effect.Effect<void> =>
  Effect.forEach(process.faults, (chaos) => Effect.andThen(chaos.set({}), chaos.up), { discard: true })

/** Closes a process in order, however long it takes. */
const ended = (process: World.Process): Effect.Effect<void> =>
  Effect.gen(function* () {
    const closing = yield* Effect.forkChild(process.close, { startImmediately: true })
    yield* TestClock.adjust("5 minutes")
    yield* Fiber.join(closing)
  })

/** What an effect answers within a minute; undefined: nothing. */
const inTime = <A>(effect: Effect.Effect<A>): Effect.Effect<A | undefined> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return yield* exit
    fiber.interruptUnsafe()
    return undefined
  })

const restingIn = (tier: Tier, key: Key.Key): Effect.Effect<Resting | undefined> =>
  Effect.gen(function* () {
    const read = yield* tier.get(key)
    if (read._tag !== "Hit") return undefined
    const content = Buffer.from(yield* Body.toBytes(read.blob.body)).toString()
    return { tier: tier.name, generation: read.blob.header.generation, content }
  }).pipe(Effect.orDie)

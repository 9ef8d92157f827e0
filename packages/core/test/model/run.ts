/**
 * Drives a chain through a script and checks what it has answered.
 *
 * Operations begin one after another and run beside one another; how they interleave is decided by the pauses of the
 * script, the delays of the faults and the test clock, so a script gives the same history every time.
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
import * as Header from "../../src/Header.ts"
import * as Key from "../../src/Key.ts"
import type { Tier } from "../../src/Tier.ts"
import type { TierError } from "../../src/TierError.ts"
import * as Trail from "../../src/Trail.ts"
import { type Resting, violations, violationsAtRest } from "./check.ts"
import type { Answer, Event, Read, Write } from "./History.ts"
import type { Script, Step } from "./Script.ts"
import * as World from "./World.ts"

const groups = ["hero", "sprite"]
const keys = [Key.makeUnsafe("hero", "a"), Key.makeUnsafe("hero", "b"), Key.makeUnsafe("sprite", "a")]
const keyOf = (index: number) => keys[index] ?? Key.makeUnsafe("hero", "a")

/** The sentences that the chain breaks when it is driven through the script. */
export const run = (script: Script, makeChain: World.MakeChain): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const world = yield* World.make(script, makeChain)
    const events: Array<Event> = []
    const restarts: Array<number> = []
    const kills: Array<number> = []
    const readers: Array<{ readonly event: Event; readonly fiber: Fiber.Fiber<void> }> = []
    let process = yield* world.begin
    let count = 0

    const opening = { ended: undefined, endedAt: undefined, answer: undefined, isLeft: false }

    /** Runs an operation beside the others, and notes when it began and how it ended. */
    const begin = <A, E>(event: Event, operation: Effect.Effect<A, E>, answerOf: (exit: Exit.Exit<A, E>) => Answer) =>
      Effect.gen(function* () {
        events.push(event)
        const fiber = yield* operation.pipe(
          Effect.onExit((exit) =>
            Effect.map(Clock.currentTimeMillis, (now) => {
              // Nobody hears what a process says after it was killed.
              if (event.ended !== undefined || (Exit.isFailure(exit) && Exit.hasInterrupts(exit))) return
              event.ended = ++count
              event.endedAt = now
              event.answer = answerOf(exit)
            })
          ),
          Effect.ignoreCause,
          Effect.forkChild({ startImmediately: true })
        )
        if (event._tag === "Read") readers.push({ event, fiber })
      })

    const perform = (step: Step): Effect.Effect<void> =>
      Effect.flatMap(Clock.currentTimeMillis, (beganAt) => {
        const { chain } = process
        const began = ++count
        const read = (index: number, made?: string, fails = false): Read => ({
          _tag: "Read",
          key: keyOf(index),
          made,
          fails,
          began,
          beganAt,
          ...opening
        })
        const write = (kind: Write["kind"], covers: Write["covers"], content?: string, expiresAt?: number): Write => ({
          _tag: "Write",
          kind,
          covers,
          content,
          expiresAt,
          began,
          beganAt,
          ...opening
        })
        const isKey = (index: number) => (key: Key.Key) => key.text === keyOf(index).text

        switch (step._tag) {
          case "Get":
            return begin(read(step.key), withBytes(chain.get(keyOf(step.key))), answerOfRead)
          case "Head":
            return begin(read(step.key), chain.head(keyOf(step.key)), answerOfRead)
          case "GetOrMake": {
            const content = `made ${keyOf(step.key).text} ${began}`
            const producer = Effect.andThen(
              step.millis === 0 ? Effect.void : Effect.sleep(step.millis),
              step.fails ? Effect.fail("origin down") : Effect.succeed(draftOf(content))
            )
            return begin(
              read(step.key, content, step.fails),
              withBytes(chain.getOrMake(keyOf(step.key), producer)),
              answerOfRead
            )
          }
          case "Put": {
            const content = `put ${keyOf(step.key).text} ${began}`
            const freshUntil = step.fresh === null ? undefined : beganAt + step.fresh
            const expiresAt = step.lifetime === null ? undefined : beganAt + step.lifetime
            return begin(
              write("put", isKey(step.key), content, expiresAt),
              chain.put(keyOf(step.key), { ...draftOf(content), freshUntil, expiresAt }),
              answerOfWrite
            )
          }
          case "Remove":
            return begin(write("remove", isKey(step.key)), chain.remove(keyOf(step.key)), answerOfWrite)
          case "RemoveGroup": {
            const group = groups[step.group] ?? "hero"
            return begin(
              write("removeGroup", (key) => key.group === group),
              chain.removeGroup(group),
              answerOfWrite
            )
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
          case "Faults": {
            const chaos = process.faults[step.tier]
            return chaos === undefined || script.isFaultless ? Effect.void : World.degrade(chaos, step.tier, step.level)
          }
          case "Restart":
            return script.isFaultless || !script.restarts ? Effect.void : restart(step.isKilled)
        }
      })

    const restart = (isKilled: boolean): Effect.Effect<void> =>
      Effect.gen(function* () {
        // Without a store nothing outlives a process but what may be out of date.
        if (script.composition === "memory-disk") return
        if (isKilled) {
          yield* process.kill
          for (const event of events) event.ended ??= Number.POSITIVE_INFINITY
        } else yield* ended(process)
        restarts.push(++count)
        if (isKilled) kills.push(count)
        // Generations of one millisecond may be those of the process before.
        yield* TestClock.adjust(1)
        process = yield* world.begin
      })

    for (const { pause, step } of script.steps) {
      yield* perform(step)
      yield* pause === 0 ? Effect.yieldNow : TestClock.adjust(pause)
    }
    yield* healed(process)
    yield* TestClock.adjust("10 minutes")

    const history = {
      events,
      restarts,
      kills,
      hasStore: script.composition !== "memory-disk",
      isFaultless: script.isFaultless
    }
    const broken = [...violations(history)]
    const { chain } = process
    const idle = yield* Effect.forkChild(chain.idle, { startImmediately: true })
    if (idle.pollUnsafe() === undefined) broken.push("at rest nothing runs")
    for (const key of keys) {
      const found = yield* inTime(Effect.orDie(chain.get(key)))
      yield* inTime(chain.idle)
      const stored = yield* restingIn(world.store, key)
      const onDisk = yield* restingIn(world.disk, key)
      broken.push(
        ...violationsAtRest(
          {
            key,
            stored,
            cached: onDisk === undefined ? [] : [onDisk],
            answered: found === undefined ? "never" : found._tag === "Found" ? found.blob.header.generation : undefined
          },
          history
        )
      )
    }
    for (const { attributes, id, state } of yield* Metric.snapshot) {
      if (!restsAtZero.has(id) || attributes?.["chain"] !== "model") continue
      const value = "value" in state ? Number(state.value) : 0
      if (value !== 0) broken.push(`at rest ${id} is 0: it is ${value}`)
    }
    yield* ended(process)
    return broken
  }).pipe(
    Effect.provideService(Metric.MetricRegistry, new Map()),
    Effect.provide(Logger.layer([])),
    Random.withSeed(String(script.seed)),
    Effect.provide(TestClock.layer())
  )

/** Gauges that must be back at zero when nothing runs. */
const restsAtZero: ReadonlySet<string> = new Set([
  "terrace_floors",
  "terrace_running",
  "terrace_repairs",
  "terrace_held_bytes"
])

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
    const reading = yield* Effect.forkChild(Body.toBytes(read.blob.body), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    const content = Buffer.from(yield* Fiber.join(reading)).toString()
    return { tier: tier.name, generation: read.blob.header.generation, content }
  }).pipe(Effect.orDie)

interface Content {
  readonly _tag: "Content"
  readonly found: Chain.Found
  readonly bytes: Uint8Array
}

/** Reads the body too, as part of the read. */
const withBytes = <E>(read: Effect.Effect<Chain.Found | Chain.NotFound, E>) =>
  Effect.flatMap(read, (found): Effect.Effect<Content | Chain.NotFound, TierError> =>
    found._tag === "NotFound"
      ? Effect.succeed(found)
      : Effect.map(Body.toBytes(found.blob.body), (bytes) => ({ _tag: "Content", found, bytes }))
  )

const answerOfRead = (
  exit: Exit.Exit<Content | Chain.FoundHeader | Chain.NotFound, { readonly _tag: string } | string>
): Answer => {
  if (Exit.isFailure(exit)) return { _tag: "Failed", why: String(exit.cause) }
  const answer = exit.value
  switch (answer._tag) {
    case "NotFound":
      return answer
    case "Found":
      return {
        _tag: "Found",
        header: answer.header,
        content: undefined,
        isWhole: true,
        isUnconfirmed: Trail.isUnconfirmed(answer.trail)
      }
    case "Content": {
      const { header } = answer.found.blob
      return {
        _tag: "Found",
        header,
        content: Buffer.from(answer.bytes).toString(),
        isWhole: Header.verifies(header, answer.bytes),
        isUnconfirmed: Trail.isUnconfirmed(answer.found.trail)
      }
    }
  }
}

const answerOfWrite = (exit: Exit.Exit<Chain.PutReceipt | Chain.RemoveReceipt, { readonly _tag: string }>): Answer =>
  Exit.isFailure(exit)
    ? { _tag: "Failed", why: String(exit.cause) }
    : {
        _tag: "Acknowledged",
        generation: "generation" in exit.value ? exit.value.generation : exit.value.header.generation
      }

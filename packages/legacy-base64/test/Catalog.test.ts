import { assert, describe, it } from "@effect/vitest"
import * as Catalog from "@terrace/legacy-base64/Catalog"
import { Fixtures } from "@terrace/testkit"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as RedisConnection from "@terrace/tier-redis/RedisConnection"
import * as Effect from "effect/Effect"
import { Admin, call, clientOf, layer, valueOf } from "./support/Redis.ts"
import { b64encode, dumps, facts } from "./support/written.ts"

const factsText = `{"width":1536,"height":1024,"bytes":417312,"digest":"${facts.digest}","content_type":"image/webp"}`

const catalogAt = (connection: RedisConnection.Options, options?: Catalog.Options) =>
  Effect.flatMap(RedisConnection.make(connection), (opened) =>
    Effect.provideService(Catalog.make(options), RedisConnection.RedisConnection, opened)
  )

describe("Catalog", () => {
  it.layer(layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("write - stores the fields, cached and the facts, in some 500 bytes that expire in two hours", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const admin = yield* Admin

        yield* catalog.write("hero", {
          fields: { style: "minimalist", title: "The Bottle Beacon", prompt: "a lighthouse made of bottles, at dusk" },
          facts
        })

        const text = (yield* Effect.promise(() => admin.get("image:hero"))) ?? ""
        assert.strictEqual(
          text,
          `{"style": "minimalist", "title": "The Bottle Beacon", "prompt": "a lighthouse made of bottles, at dusk", "cached": true, "terrace": ${factsText}}`
        )
        assert.isBelow(text.length, 500)
        const left = Number(yield* call(admin, "PTTL", "image:hero"))
        assert.isAtMost(left, 7_200_000)
        assert.isAbove(left, 7_140_000)
      })
    )

    it.effect("write - takes the place of an old record, and of its time to live", () =>
      Effect.gen(function* () {
        const { url } = yield* RedisServer.RedisServer
        const admin = yield* Admin
        const catalog = yield* catalogAt({ url, required: true }, { ttl: "10 minutes", prefix: "pictures:" })
        yield* call(admin, "SET", "pictures:old", dumps({ base64_data: b64encode(Fixtures.bytes(1, 1_000_000)) }))

        yield* catalog.write("old", { fields: { title: "new" }, facts })

        assert.deepStrictEqual((yield* catalog.read("old"))?.fields["title"], "new")
        const left = Number(yield* call(admin, "PTTL", "pictures:old"))
        assert.isAtMost(left, 600_000)
        assert.isAbove(left, 540_000)
      })
    )

    it.effect("read - gives back what was written, whatever the text is", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const fields = {
          title: `"quoted" \\ \n\u0000 ü 灯台 🗼 \ud800`,
          "": "empty name",
          cdn_url: "https://cdn.example.com/hero.webp"
        }

        yield* catalog.write("text", { fields, facts })

        const metadata = yield* catalog.read("text")
        const { cached, terrace, ...rest } = metadata?.fields ?? {}
        assert.deepStrictEqual(rest, fields)
        assert.isTrue(cached)
        assert.isDefined(terrace)
        assert.isTrue(metadata?.isCached)
        assert.deepStrictEqual(metadata?.facts, facts)
        assert.strictEqual(metadata?.cdnUrl, "https://cdn.example.com/hero.webp")
      })
    )

    it.effect("write - takes fields whose names mean something to JavaScript", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const fields = JSON.parse(`{"__proto__": "a", "constructor": "b"}`) as Record<string, string>

        yield* catalog.write("names", { fields, facts })

        const read = Object.entries((yield* catalog.read("names"))?.fields ?? {})
        assert.deepStrictEqual(read.slice(0, 2), Object.entries(fields))
      })
    )

    it.effect("write - takes 16 KiB and refuses one byte more, and then writes nothing", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const admin = yield* Admin
        yield* catalog.write("sized", { fields: { title: "" }, facts })
        const room = 16_384 - Number(yield* call(admin, "STRLEN", "image:sized"))

        yield* catalog.write("sized", { fields: { title: `${"x".repeat(room - 2)}ü` }, facts })
        const largest = yield* valueOf(admin, "image:sized")
        assert.strictEqual(largest.value?.length, 16_384)
        assert.isDefined(yield* catalog.read("sized"))

        const error = yield* Effect.flip(
          catalog.write("sized", { fields: { title: `${"x".repeat(room - 1)}ü` }, facts })
        )
        assert.strictEqual(error.message, "the record is too large: expected at most 16384 bytes")
        assert.deepStrictEqual(yield* valueOf(admin, "image:sized"), largest)
      })
    )

    it.effect.each(["base64_data", "cached", "terrace"])(
      "write - refuses a field named %s, and writes nothing",
      (field) =>
        Effect.gen(function* () {
          const catalog = yield* Catalog.Catalog
          const admin = yield* Admin

          const error = yield* Effect.flip(catalog.write(`named-${field}`, { fields: { [field]: "secret" }, facts }))

          assert.strictEqual(
            error.message,
            `${field} is a field that the record has of its own: expected another name, for example "caption"`
          )
          assert.isFalse(error.isRetryable)
          assert.strictEqual(yield* call(admin, "EXISTS", `image:named-${field}`), 0)
        })
    )

    it.effect("read - answers undefined where there is no record", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        assert.isUndefined(yield* catalog.read("never-there"))
      })
    )

    it.effect("read - answers what an old record says, without its image", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const admin = yield* Admin
        yield* call(
          admin,
          "SET",
          "image:small",
          dumps({ title: "a", base64_data: b64encode(Fixtures.bytes(1, 1_000)) })
        )

        const metadata = yield* catalog.read("small")

        assert.deepStrictEqual(metadata?.fields, { title: "a" })
        assert.isFalse(metadata?.isCached)
        assert.isUndefined(metadata?.facts)
      })
    )

    it.effect("read - refuses a record above 16 KiB, and what is none, and leaves them alone", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const admin = yield* Admin
        yield* call(admin, "SET", "image:large", dumps({ base64_data: b64encode(Fixtures.bytes(1, 3_000_000)) }))
        yield* call(admin, "SET", "image:broken", "{")
        yield* call(admin, "RPUSH", "image:list", "a")
        const reasonOf = (id: string) => Effect.map(Effect.flip(catalog.read(id)), ({ reason }) => reason._tag)

        assert.strictEqual(yield* reasonOf("large"), "TooLarge")
        assert.strictEqual(yield* reasonOf("broken"), "InvalidJson")
        assert.strictEqual(yield* reasonOf("list"), "NotAString")

        assert.strictEqual(yield* call(admin, "STRLEN", "image:large"), 4_000_019)
      })
    )

    it.effect("remove - says whether there was a record, old or new", () =>
      Effect.gen(function* () {
        const catalog = yield* Catalog.Catalog
        const admin = yield* Admin
        yield* catalog.write("new", { fields: {}, facts })
        yield* call(admin, "SET", "image:old", dumps({ base64_data: "QUJD" }))

        assert.isTrue(yield* catalog.remove("new"))
        assert.isTrue(yield* catalog.remove("old"))
        assert.isFalse(yield* catalog.remove("new"))

        assert.strictEqual(yield* call(admin, "EXISTS", "image:new", "image:old"), 0)
      })
    )

    it.effect("without Redis every operation is Unavailable, and has had no effect", () =>
      Effect.gen(function* () {
        const catalog = yield* catalogAt({ url: "redis://127.0.0.1:1" })
        const calls = [catalog.read("a"), catalog.write("a", { fields: {}, facts }), catalog.remove("a")]
        for (const [index, operation] of ["get", "put", "remove"].entries()) {
          const error = yield* Effect.flip(calls[index] ?? Effect.void)
          if (error._tag !== "TierError") assert.fail(error.message)
          assert.deepStrictEqual(
            [error.tier, error.operation, error.reason._tag],
            ["catalog", operation, "Unavailable"]
          )
          assert.isFalse(error.isUnknownOutcome)
        }
      })
    )

    it.effect("write - is NoSpace where Redis is out of memory", () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.make({ config: { "maxmemory-policy": "noeviction" } })
        const catalog = yield* catalogAt({ url: server.url, required: true })
        yield* call(yield* clientOf(server), "CONFIG", "SET", "maxmemory", "1")

        const error = yield* Effect.flip(catalog.write("a", { fields: {}, facts }))

        assert.strictEqual(error.reason._tag, "NoSpace")
      })
    )
  })

  it.effect.each([
    ["0 seconds", "ttl is 0: expected an integer from 1 to 3155760000000000, for example 7200000"],
    [0.5, "ttl is 0.5"],
    [Number.POSITIVE_INFINITY, "ttl is Infinity"]
  ] as const)("make - dies naming the option, the expected form and an example: ttl %s", ([ttl, message]) =>
    Effect.gen(function* () {
      const cause = yield* Effect.flip(Effect.sandbox(catalogAt({ url: "redis://127.0.0.1:1" }, { ttl })))
      assert.include(String(cause), message)
    })
  )
})

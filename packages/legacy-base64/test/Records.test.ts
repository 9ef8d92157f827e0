import { assert, describe, it } from "@effect/vitest"
import type { LegacyError } from "@terrace/legacy-base64/LegacyError"
import * as LegacyRecord from "@terrace/legacy-base64/LegacyRecord"
import * as Records from "@terrace/legacy-base64/Records"
import { Fixtures } from "@terrace/testkit"
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Admin, call, layer, recordsAt, valueOf } from "./support/Redis.ts"
import { b64encode, dumps, encodebytes, facts, urlsafe } from "./support/written.ts"

/** The reason of a failure, or `Success`. */
const tag = <A, R>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
  Effect.map(Effect.result(effect), (result) => (Result.isSuccess(result) ? "Success" : result.failure.reason._tag))

describe("Records", () => {
  it.layer(layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
    it.effect("read - answers the bytes as they are, and undefined where there is nothing", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        const bytes = Buffer.from([0x7b, 0x00, 0xff, 0xc3, 0x0d, 0x0a, 0x7d])
        yield* call(admin, "SET", "image:hero_recycle_abc", bytes)
        yield* call(admin, "SET", "image:empty", "")

        assert.deepStrictEqual(yield* records.read("hero_recycle_abc"), bytes)
        assert.isUndefined(yield* records.read("hero_recycle"))
        assert.isUndefined(yield* records.read("empty"))
      })
    )

    it.effect("read - takes a record of the largest size, and refuses one byte more", () =>
      Effect.gen(function* () {
        const { url } = yield* RedisServer.RedisServer
        const admin = yield* Admin
        const records = yield* recordsAt({ url, required: true }, { maxRecordBytes: 1_000, prefix: "old:" })
        yield* call(admin, "SET", "old:largest", "x".repeat(1_000))
        yield* call(admin, "SET", "old:larger", "x".repeat(1_001))

        assert.strictEqual((yield* records.read("largest"))?.byteLength, 1_000)
        const error = yield* Effect.flip(records.read("larger"))
        assert.strictEqual(error.message, "the record is too large: expected at most 1000 bytes")
        assert.isFalse(error.isRetryable)
      })
    )

    it.effect("read - does not let a value of 100 MB come over the wire, and leaves it alone", () =>
      Effect.gen(function* () {
        const server = yield* RedisServer.RedisServer
        const admin = yield* Admin
        const proxy = yield* FaultProxy.make({ port: server.port })
        const records = yield* recordsAt(
          { url: `redis://127.0.0.1:${proxy.port}`, required: true },
          { maxRecordBytes: 1_000_000 }
        )
        yield* call(admin, "SETRANGE", "image:giant", 99_999_999, "}")

        assert.strictEqual(yield* tag(records.read("giant")), "TooLarge")

        const { passed } = yield* proxy.stats
        assert.isAbove(passed.toClient, 1_000_000)
        assert.isBelow(passed.toClient, 1_010_000)
        assert.strictEqual(yield* call(admin, "STRLEN", "image:giant"), 100_000_000)
        yield* call(admin, "DEL", "image:giant")
      })
    )

    it.effect("read - refuses what is larger than 4/3 of 50 MiB and 64 KiB unless told otherwise", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        const largest = Math.ceil(52_428_800 / 3) * 4 + 65_536
        yield* call(admin, "SETRANGE", "image:large", largest - 1, "}")
        assert.strictEqual((yield* records.read("large"))?.byteLength, largest)

        yield* call(admin, "APPEND", "image:large", "}")
        assert.strictEqual(yield* tag(records.read("large")), "TooLarge")
        yield* call(admin, "DEL", "image:large")
      })
    )

    it.effect("read - refuses what is no string, and leaves it alone", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        yield* call(admin, "RPUSH", "image:list", "a", "b")
        yield* call(admin, "HSET", "image:hash", "base64_data", "QUJD")

        for (const id of ["list", "hash"]) {
          const error = yield* Effect.flip(records.read(id))
          assert.strictEqual(error.reason._tag, "NotAString")
          assert.match(
            error.message,
            /^the record is a list, hash or .*: expected a string that holds a JSON object, for example \{/
          )
        }
        assert.deepStrictEqual(yield* call(admin, "LRANGE", "image:list", 0, -1), ["a", "b"])
      })
    )

    it.effect("size - answers the bytes of a record, 0 where there is none, 1 for what is no string", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const admin = yield* Admin
        yield* call(admin, "SET", "image:sized", Buffer.from("{☕}"))
        yield* call(admin, "RPUSH", "image:sized_list", "a")

        assert.deepStrictEqual(
          yield* Effect.forEach(["sized", "nothing", "sized_list"], (id) => records.size(id)),
          [5, 0, 1]
        )
      })
    )

    it.effect("decode - gives the image and the metadata of a record, and no image where there is none", () =>
      Effect.gen(function* () {
        const records = yield* Records.Records
        const image = Fixtures.bytes(1, 5_000)

        const old = yield* records.decode(Buffer.from(dumps({ title: "a", base64_data: encodebytes(image) })))
        assert.isTrue(Buffer.from(image).equals(old.image ?? Buffer.alloc(0)))
        assert.deepStrictEqual(old.metadata.fields, { title: "a" })

        const compacted = yield* records.decode(Buffer.from(LegacyRecord.compacted(old.metadata, facts)))
        assert.isUndefined(compacted.image)
        assert.deepStrictEqual(compacted.metadata.facts, facts)
      })
    )

    it.effect("decode - refuses an image above maxImageBytes, and takes one that has as many", () =>
      Effect.gen(function* () {
        const { url } = yield* RedisServer.RedisServer
        const records = yield* recordsAt({ url, required: true }, { maxImageBytes: 1_000 })
        const record = (bytes: number) => Buffer.from(dumps({ base64_data: b64encode(Fixtures.bytes(1, bytes)) }))

        assert.strictEqual((yield* records.decode(record(1_000))).image?.byteLength, 1_000)
        const error = yield* Effect.flip(records.decode(record(1_001)))
        assert.strictEqual(error.message, "the decoded image is too large: expected at most 1000 bytes")
      })
    )

    // The records of the old service: 2 to 4 MB, with a time to live of two hours.
    const image = (seed: number, bytes: number) => Fixtures.bytes(seed, bytes)
    const forms: ReadonlyArray<readonly [name: string, write: (bytes: Uint8Array) => string]> = [
      ["plain", b64encode],
      ["line-broken", encodebytes],
      ["URL-safe", urlsafe],
      ["unpadded", (bytes) => b64encode(bytes).replaceAll("=", "")],
      ["URL-safe and unpadded", (bytes) => urlsafe(bytes).replaceAll("=", "")],
      ["as a data URI", (bytes) => `data:image/png;base64,${b64encode(bytes)}`],
      [
        "as a data URI in upper case, line-broken",
        (bytes) => `DATA:IMAGE/PNG;CHARSET=UTF-8;BASE64,\n${encodebytes(bytes)}`
      ]
    ]

    it.effect.each(
      forms.flatMap(([name, write], form) => [true, false].map((ascii) => ({ name, write, form, ascii })))
    )(
      "$name, ASCII only: $ascii - an old record gives its image, and becomes less than 1 KB that expires when it would have",
      ({ ascii, form, name, write }) =>
        Effect.gen(function* () {
          const records = yield* Records.Records
          const admin = yield* Admin
          const id = `hero_${form}_${ascii}`
          const bytes = image(form, 1_500_001 + 250_000 * form)
          const title = `Flaschenpost “${name}” 🗼`
          const record = Buffer.from(
            dumps({ title, style: "minimalist", base64_data: write(bytes), cached: false }, ascii)
          )
          yield* call(admin, "SET", `image:${id}`, record, "EX", 7_200)
          const before = yield* valueOf(admin, `image:${id}`)

          const raw = (yield* records.read(id)) ?? assert.fail("there is a record")
          const decoded = yield* records.decode(raw)
          const after = LegacyRecord.compacted(decoded.metadata, facts)
          const outcome = yield* records.compact(id, Records.fingerprint(raw), after)

          assert.isTrue(Buffer.from(bytes).equals(decoded.image ?? Buffer.alloc(0)))
          assert.strictEqual(outcome, "compacted")
          const { expiresAt, value = "" } = yield* valueOf(admin, `image:${id}`)
          assert.strictEqual(expiresAt, before.expiresAt)
          assert.isBelow(value.length, 1_000)
          const { base64, metadata } = Result.getOrThrow(LegacyRecord.parse(Buffer.from(value, "latin1")))
          assert.isUndefined(base64)
          assert.deepInclude(metadata.fields, { title, style: "minimalist", cached: true })
          assert.deepStrictEqual(metadata.facts, facts)
        })
    )

    const hostile: ReadonlyArray<readonly [what: string, record: Buffer, reason: LegacyError["reason"]["_tag"]]> = [
      ["bytes that are not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), "InvalidUtf8"],
      ["JSON that was cut off", Buffer.from(`{"base64_data": "QUJD`), "InvalidJson"],
      ["a byte order mark", Buffer.from(`\ufeff{"base64_data": "QUJD"}`), "InvalidJson"],
      ["an array", Buffer.from(`["QUJD"]`), "NotAnObject"],
      ["two million brackets", Buffer.from(`{"a": ${"[".repeat(2_000_000)}`), "TooDeep"],
      ["two million arrays", Buffer.from(`{"a": [${"[],".repeat(2_000_000)}[]]}`), "TooLarge"],
      ["an image that is a number", Buffer.from(`{"base64_data": 5}`), "InvalidField"],
      ["an image that is half of a surrogate pair", Buffer.from(`{"base64_data": "\\ud800"}`), "InvalidBase64"],
      ["an image that is a URL", Buffer.from(`{"base64_data": "https://example.com/a.png"}`), "InvalidBase64"],
      [
        "4 MB with one character that is no digit",
        Buffer.from(`{"base64_data": "${"QUJD".repeat(1_000_000)}?"}`),
        "InvalidBase64"
      ]
    ]

    it.effect.each(hostile.map(([what, record, reason], index) => ({ what, record, reason, index })))(
      "$what - fails with $reason and is not touched",
      ({ index, reason, record }) =>
        Effect.gen(function* () {
          const records = yield* Records.Records
          const admin = yield* Admin
          const id = `hostile-${index}`
          yield* call(admin, "SET", `image:${id}`, record, "PX", 7_200_000)
          const before = yield* valueOf(admin, `image:${id}`)

          const raw = (yield* records.read(id)) ?? assert.fail("there is a record")
          const error = yield* Effect.flip(records.decode(raw))

          assert.strictEqual(error.reason._tag, reason)
          assert.isFalse(error.isRetryable)
          assert.deepStrictEqual(yield* valueOf(admin, `image:${id}`), before)
        })
    )
  })

  it.effect.each([
    [{ maxImageBytes: 0 }, "maxImageBytes is 0: expected an integer from 1 to 400000000, for example 52428800"],
    [{ maxImageBytes: 1.5 }, "maxImageBytes is 1.5"],
    [
      { maxRecordBytes: 536_870_889 },
      "maxRecordBytes is 536870889: expected an integer from 1 to 536870888, for example 69970604"
    ]
  ] as const)("make - dies naming the option, the expected form and an example: %j", ([options, message]) =>
    Effect.gen(function* () {
      const cause = yield* Effect.flip(Effect.sandbox(recordsAt({ url: "redis://127.0.0.1:1" }, options)))
      assert.include(String(cause), message)
    })
  )
})

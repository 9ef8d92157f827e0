import { assert, layer } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { environmentOf, follow, makeBucket, redirecting } from "./support/Bucket.ts"
import { bytesOf, jsonOf, problemOf, put, send } from "./support/Http.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { type Node, withNode } from "./support/RedisNode.ts"

const cdnUrl = "https://cdn.example.com/hero.webp?size=full"

const write = ({ redis }: Node, id: string, fields: Readonly<Record<string, unknown>>) =>
  Effect.promise(() => OldRecords.write(redis, id, JSON.stringify(fields)))

/** Calls of commands that read or write records, so far. */
const calls = ({ redis }: Node) =>
  Effect.promise(async () => {
    const info = await redis.info("commandstats")
    const commands = ["getrange", "strlen", "get", "set", "evalsha", "eval", "exists"]
    return commands.map((command) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0))
  })

const destinationOf = (response: Response) => [response.status, response.headers.get("location")]

const large = Effect.promise(() => png(500, 400))

/** An upload as JSON, whose fields stay with the image. */
const upload = (id: string, image: Buffer, fields: Readonly<Record<string, string>>) =>
  send(`/images/${id}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ base64_data: image.toString("base64"), ...fields })
  })

layer(RedisServer.layer(), { excludeTestServices: true, timeout: 120_000 })("cdn_url", (it) => {
  it.effect("of a record whose image no tier has is where clients are sent, by GET and HEAD", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* write(node, "hero", { title: "Hero", cached: true, cdn_url: cdnUrl })

        for (const method of ["GET", "HEAD", "GET"]) {
          const response = yield* send("/images/hero", { method })
          assert.deepStrictEqual(destinationOf(response), [302, cdnUrl])
          assert.strictEqual(response.headers.get("cache-control"), "private, max-age=3600")
          assert.isNull(response.headers.get("etag"))
        }
        for (const path of ["hero?preset=thumb", "hero?v=0123456789abcdef", "hero/metadata"]) {
          assert.strictEqual(yield* problemOf(yield* send(`/images/${path}`)), "image-not-stored", path)
        }
      })
    )
  )

  it.effect("that is no URL for everybody's eyes leads nowhere", () =>
    withNode((node) =>
      Effect.gen(function* () {
        const bad: ReadonlyArray<unknown> = [
          "javascript:alert(1)",
          "ftp://cdn.example.com/a",
          "//cdn.example.com/a",
          "/images/other",
          "https://user:secret@cdn.example.com/a",
          "https://cdn.example.com/a\r\nset-cookie: a=b",
          "https://cdn.example.com/a b",
          `https://cdn.example.com/${"a".repeat(8_000)}`,
          42,
          null
        ]
        for (const [index, value] of bad.entries()) {
          yield* write(node, `hero_${index}`, { cached: true, cdn_url: value })
          const response = yield* send(`/images/hero_${index}`)
          assert.strictEqual(yield* problemOf(response), "image-not-stored", String(value))
          assert.isNull(response.headers.get("set-cookie"))
        }
        yield* write(node, "umlaut", { cached: true, cdn_url: "https://cdn.example.com/ü\u0130.webp" })
        assert.deepStrictEqual(destinationOf(yield* send("/images/umlaut")), [
          302,
          "https://cdn.example.com/%C3%BC%C4%B0.webp"
        ])
      })
    )
  )

  it.effect("is not looked for while Redis is down: 503, never 404", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* write(node, "hero", { cached: true, cdn_url: cdnUrl })
        assert.strictEqual((yield* send("/images/hero")).status, 302)
        yield* node.proxy.down
        // The absence in the tiers is remembered for a moment; where the image is instead, only Redis knows.
        assert.strictEqual(yield* problemOf(yield* send("/images/hero")), "unavailable")
        assert.strictEqual(yield* problemOf(yield* send("/images/other")), "unavailable")
      })
    )
  )

  it.effect("of a stored image is followed where delivery redirects, from the image alone: Redis is not asked", () =>
    withNode(
      (node) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* upload("hero", yield* large, { cdn_url: cdnUrl })).status, 201)
          yield* upload("dot", yield* Effect.promise(() => png(60, 40)), { cdn_url: cdnUrl })
          const before = yield* calls(node)

          for (let count = 0; count < 3; count++) {
            assert.deepStrictEqual(destinationOf(yield* send("/images/hero")), [302, cdnUrl])
            assert.strictEqual((yield* send("/images/dot")).status, 200)
          }
          yield* Effect.promise(() => node.redis.flushall())
          yield* node.proxy.down
          assert.deepStrictEqual(destinationOf(yield* send("/images/hero")), [302, cdnUrl])

          assert.deepStrictEqual(yield* calls(node), before)
          yield* node.proxy.set({})
          yield* put("hero", yield* large)
          assert.strictEqual((yield* send("/images/hero")).status, 200)
        }),
      redirecting
    )
  )

  it.effect("of a stored image changes nothing where delivery does not redirect", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* upload("hero", yield* large, { cdn_url: cdnUrl })
        const before = yield* calls(node)
        assert.strictEqual((yield* send("/images/hero")).status, 200)
        assert.deepStrictEqual(yield* calls(node), before)
      })
    )
  )

  it.effect("of an old record with its image in it is followed once the image is made of it", () =>
    withNode(
      (node) =>
        Effect.gen(function* () {
          const image = yield* large
          yield* Effect.promise(() =>
            OldRecords.write(node.redis, "hero", OldRecords.record(image, "plain", { cdn_url: cdnUrl }))
          )
          assert.deepStrictEqual(destinationOf(yield* send("/images/hero")), [302, cdnUrl])
          const etag = (yield* jsonOf(yield* send("/images/hero/metadata"))).etag ?? ""
          const here = yield* send("/images/hero", { headers: { "if-match": etag } })
          assert.strictEqual(here.status, 200)
        }),
      redirecting
    )
  )
})

layer(Layer.merge(RedisServer.layer(), S3Server.layer()), { excludeTestServices: true, timeout: 120_000 })(
  "an old record, with a bucket",
  (it) => {
    it.effect("is answered with its bytes while it is converted, and by a redirect once the bucket has it", () =>
      Effect.flatMap(makeBucket, (place) =>
        withNode(
          (node) =>
            Effect.gen(function* () {
              const image = yield* large
              yield* Effect.promise(() => OldRecords.write(node.redis, "hero", OldRecords.record(image)))

              const first = yield* send("/images/hero")
              assert.strictEqual(first.status, 200)
              const bytes = yield* bytesOf(first)

              const later = yield* Effect.repeat(send("/images/hero"), {
                until: ({ status }) => status === 302,
                schedule: Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(500)])
              })
              const there = yield* follow(later.headers.get("location") ?? "")
              assert.strictEqual(there.status, 200)
              assert.isTrue(there.bytes.equals(bytes))
            }),
          { ...environmentOf(place), ...redirecting }
        )
      )
    )

    it.effect("is not handed out by URL before it is stored", () =>
      Effect.flatMap(makeBucket, (place) =>
        withNode(
          (node) =>
            Effect.gen(function* () {
              const image = yield* large
              yield* Effect.promise(() => OldRecords.write(node.redis, "hero", OldRecords.record(image)))

              const first = yield* send("/images/hero/presigned")
              assert.strictEqual(yield* problemOf(first), "not-in-bucket")
              assert.strictEqual(first.headers.get("retry-after"), "1")

              const later = yield* Effect.repeat(send("/images/hero/presigned"), {
                until: ({ status }) => status === 200,
                schedule: Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(500)])
              })
              const { url = "" } = yield* jsonOf(later)
              assert.strictEqual((yield* follow(url)).status, 200)
            }),
          { ...environmentOf(place), ...redirecting }
        )
      )
    )
  }
)

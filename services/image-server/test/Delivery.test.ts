import { assert, describe, it } from "@effect/vitest"
import type { FoundHeader } from "@terrace/core/Chain"
import * as Header from "@terrace/core/Header"
import type { Outcome } from "@terrace/core/Trail"
import { PresignError } from "@terrace/tier-s3/Presign"
import * as S3Tier from "@terrace/tier-s3/S3Tier"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as Delivery from "../src/Delivery.ts"
import * as ImageKeys from "../src/ImageKeys.ts"

const size = 2_000

const header = (fields: Partial<Header.Header> = {}): Header.Header => ({
  ...Header.describe(ImageKeys.master("hero"), Buffer.alloc(size), {
    contentType: "image/webp",
    generation: 1,
    createdAt: 0
  }),
  ...fields
})

const found = (fields?: Partial<Header.Header>, outcome: Outcome = { _tag: "Hit" }): FoundHeader => ({
  _tag: "Found",
  header: header(fields),
  trail: { steps: [{ tier: "memory", outcome, millis: 0 }], joined: false }
})

/** A tier of a server that nobody has to reach: signing is arithmetic. */
const bucket = (options: Partial<S3Tier.Options> = {}) =>
  S3Tier.make({
    bucket: "images",
    endpoint: "http://127.0.0.1:1",
    forcePathStyle: true,
    ifUnreachable: "warn",
    credentials: { accessKeyId: "key", secretAccessKey: Redacted.make("secret") },
    ...options
  })

const make = (masters: Delivery.Bucket | undefined, options: Partial<Delivery.Options> = {}) =>
  Delivery.make({
    mode: "redirect",
    above: 1_000,
    expiry: Duration.minutes(5),
    maxAge: 3_600,
    masters,
    variants: undefined,
    ...options
  })

const subject = (fields: Partial<Delivery.Subject> = {}): Delivery.Subject => ({
  kind: "master",
  found: found(),
  version: "0123456789abcdef",
  isVersioned: false,
  isIn: () => Effect.succeed(true),
  ...fields
})

const expiryOf = (destination: Delivery.Destination | undefined): number =>
  Number(new URL(destination?.url ?? "").searchParams.get("X-Amz-Expires"))

describe("Delivery.keepFor", () => {
  it.effect.prop(
    "is shorter than the URL is good for, and by a minute at most",
    [Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 604_800 }))],
    ([seconds]) =>
      Effect.sync(() => {
        const kept = Delivery.keepFor(seconds)
        assert.isTrue(kept >= 0 && kept < seconds && kept >= seconds - 60, `${seconds}: ${kept}`)
      })
  )

  it("leaves a fifth", () => {
    assert.deepStrictEqual([0, 1, 10, 299, 300, 604_800].map(Delivery.keepFor), [0, 0, 8, 239, 240, 604_740])
  })
})

describe("Delivery.mayRedirect", () => {
  it.effect("masters follow the mode, presets their own or else the mode, variants only where a tier has URLs", () =>
    Effect.gen(function* () {
      const tier = yield* bucket()
      const may = (options: Partial<Delivery.Options>, kind: Delivery.Kind, own?: Delivery.Mode) =>
        make(tier, options).mayRedirect(kind, own, {})
      assert.isTrue(may({}, "master"))
      assert.isFalse(may({ mode: "proxy" }, "master"))
      assert.isFalse(may({}, "variant"))
      assert.isTrue(may({ variants: tier }, "variant"))
      assert.isFalse(may({ variants: tier }, "variant", "proxy"))
      assert.isTrue(may({ mode: "proxy", variants: tier }, "variant", "redirect"))
      assert.isFalse(may({ mode: "proxy", variants: tier }, "variant"))
    })
  )

  it("no request whose conditions only this server can check", () => {
    const may = (headers: Record<string, string>) => make(undefined).mayRedirect("master", undefined, headers)
    assert.isFalse(may({ "if-match": "*" }))
    assert.isFalse(may({ "if-unmodified-since": "x" }))
    assert.isFalse(may({ range: "bytes=0-1", "if-range": '"a"' }))
    assert.isTrue(may({ range: "bytes=0-1", "if-none-match": '"a"', "if-modified-since": "x" }))
  })
})

describe("Delivery.destination", () => {
  it.effect("is the bucket from the size on, for the method", () =>
    Effect.gen(function* () {
      const tier = yield* bucket()
      for (const [above, to] of [
        [0, "bucket"],
        [size, "bucket"],
        [size + 1, undefined]
      ] as const) {
        const destination = yield* make(tier, { above }).destination(subject(), "HEAD")
        assert.strictEqual(destination?.to, to)
      }
      const get = yield* make(tier).destination(subject(), "GET")
      const head = yield* make(tier).destination(subject(), "HEAD")
      assert.deepInclude(get, { maxAge: 240 })
      assert.strictEqual(expiryOf(get), 300)
      assert.notStrictEqual(get?.url, head?.url)
      const parameters = new URL(get?.url ?? "").searchParams
      assert.strictEqual(parameters.get("response-content-type"), "image/webp")
      assert.strictEqual(parameters.get("response-cache-control"), "private, max-age=300")
    })
  )

  it.effect("is nowhere for what is not certainly there", () =>
    Effect.gen(function* () {
      const tier = yield* bucket({ cdnUrl: "https://cdn.example.com" })
      const asked: Array<string> = []
      const isIn = (isThere: boolean) => (name: string) => Effect.sync(() => (asked.push(name), isThere))
      const to = (fields: Partial<Delivery.Subject>) => make(tier).destination(subject(fields), "GET")

      assert.isUndefined(yield* to({ isIn: isIn(false) }))
      assert.deepStrictEqual(asked, ["s3"])
      const cdn = { attributes: { cdn_url: "https://other.example.com/a" } }
      const unconfirmed = found(cdn, { _tag: "Unconfirmed", why: "TimedOut" })
      assert.isUndefined(yield* to({ found: unconfirmed, isIn: isIn(true) }))
      assert.deepStrictEqual(asked, ["s3"])
      assert.isUndefined(yield* make(undefined, { above: 0 }).destination(subject(), "GET"))
    })
  )

  it.effect("is kept for no longer than images are; a version as long as the URL lets it", () =>
    Effect.gen(function* () {
      const delivery = make(yield* bucket(), { maxAge: 30 })
      assert.strictEqual((yield* delivery.destination(subject(), "GET"))?.maxAge, 30)
      assert.strictEqual((yield* delivery.destination(subject({ isVersioned: true }), "GET"))?.maxAge, 240)
    })
  )

  it.effect("is the CDN where there is one, the cdn_url of the image before it, and of masters only", () =>
    Effect.gen(function* () {
      const tier = yield* bucket({ cdnUrl: "https://cdn.example.com/shop" })
      const delivery = make(tier, { variants: tier })
      const to = (fields: Partial<Delivery.Subject>) => delivery.destination(subject(fields), "GET")
      const attributes = { cdn_url: "https://other.example.com/a" }

      assert.deepStrictEqual(yield* to({}), {
        to: "cdn",
        url: "https://cdn.example.com/shop/hero/master?v=0123456789abcdef",
        maxAge: 3_600
      })
      const own = yield* to({ found: found({ attributes }), isIn: () => Effect.succeed(false) })
      assert.deepStrictEqual(own, { to: "cdn", url: attributes.cdn_url, maxAge: 3_600 })
      const variant = yield* to({ kind: "variant", found: found({ attributes }) })
      assert.strictEqual(variant?.url, "https://cdn.example.com/shop/hero/master")
      const secret = yield* to({ found: found({ attributes: { cdn_url: "https://a:b@other.example.com/" } }) })
      assert.match(secret?.url ?? "", /^https:\/\/cdn\.example\.com\//)
    })
  )

  it.effect("ends with the image, and is nowhere in its last second; a CDN would not know when", () =>
    Effect.gen(function* () {
      const delivery = make(yield* bucket({ cdnUrl: "https://cdn.example.com" }))
      const until = (expiresAt: number) => delivery.destination(subject({ found: found({ expiresAt }) }), "GET")

      const destination = yield* until(10_900)
      assert.deepStrictEqual([destination?.to, expiryOf(destination), destination?.maxAge], ["bucket", 10, 8])
      assert.isUndefined(yield* until(999))
    })
  )

  it.effect(
    "is nowhere for ten seconds after no URL could be signed; the credentials are not looked for meanwhile",
    () =>
      Effect.gen(function* () {
        const tier = yield* bucket()
        let tries = 0
        let isWithout: "keys" | "answer" | undefined = "keys"
        const without = new PresignError({ tier: "s3", reason: "no-credentials", detail: "there are no credentials" })
        const delivery = make({
          ...tier,
          presign: (key, options) => {
            tries += 1
            if (isWithout === "answer") return Effect.never
            return isWithout === "keys" ? Effect.fail(without) : tier.presign(key, options)
          }
        })
        const to = Effect.map(delivery.destination(subject(), "GET"), (destination) => destination?.to)

        for (let count = 0; count < 5; count++) assert.isUndefined(yield* to)
        assert.strictEqual(tries, 1)
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(yield* to)
        assert.strictEqual(tries, 1)

        isWithout = "answer"
        yield* TestClock.adjust("1 second")
        const waiting = yield* Effect.forkChild(to, { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(yield* Fiber.join(waiting))
        assert.strictEqual(tries, 2)
        isWithout = undefined
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* to, "bucket")
      })
  )
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as RedisConnection from "../src/RedisConnection.ts"

const refusal = (options: RedisConnection.Options) => Effect.flip(Effect.scoped(RedisConnection.make(options)))

const secret = "hunter2"

const bad: ReadonlyArray<readonly [title: string, options: RedisConnection.Options, says: RegExp]> = [
  ["no URL at all", { url: "localhost" }, /its URL is none\. Expected redis:\/\//],
  ["another scheme", { url: `http://user:${secret}@localhost` }, /begins with "http:"\. Expected redis:\/\//],
  ["no host", { url: "redis://" }, /names no host\. Expected redis:\/\//],
  ["a database that is no number", { url: `redis://:${secret}@localhost/images` }, /database in its URL is no number/],
  ["parameters", { url: `redis://:${secret}@localhost/0?family=6` }, /a part after the database/],
  ["a stray percent sign", { url: `redis://user:%${secret}@localhost` }, /stray `%`\. Write `%` as `%25`/],
  ["a host with a stray percent sign", { url: `redis://:${secret}@local%host` }, /the host in its URL has a stray `%`/],
  ["no URL of several", { url: [] }, /there is no URL/],
  [
    "several URLs of no cluster",
    { url: ["redis://one", "redis://two"] },
    /at one:6379, two:6379: several URLs .* Set `cluster: true`/
  ],
  [
    "nodes with different passwords",
    { url: [`redis://:${secret}@one`, "redis://two"], cluster: true },
    /different users, passwords or schemes/
  ],
  ["a database of a cluster", { url: "redis://one/3", cluster: true }, /a cluster has database 0 only/],
  ["TLS without rediss://", { url: "redis://one", tls: {} }, /does not ask for TLS\. Begin it with rediss:\/\//],
  ["no time to connect", { url: "redis://one", connectTimeout: 0 }, /`connectTimeout` is 0 ms/],
  ["an endless silence", { url: "redis://one", silenceTimeout: "Infinity" }, /`silenceTimeout` is Infinity ms/]
]

describe("RedisConnection options", () => {
  it.live.each(bad)("%s - fails the start in one line that says what to write", ([, options, says]) =>
    Effect.gen(function* () {
      const error = yield* refusal(options)

      assert.strictEqual(error.reason, "invalid-option")
      assert.match(error.message, /^cannot use Redis at [^\n]+$/)
      assert.match(error.message, says)
      assert.notInclude(JSON.stringify(error) + error.message, secret)
    })
  )

  it.live("a URL may be redacted, and no message repeats it", () =>
    Effect.gen(function* () {
      const error = yield* refusal({ url: Redacted.make(`http://user:${secret}@localhost`) })

      assert.match(error.message, /begins with "http:"/)
      assert.notInclude(error.message, secret)
    })
  )
})

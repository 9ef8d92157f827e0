import { assert, describe, it } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import type { Reason, TierError } from "@terrace/core/TierError"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import { type Answer, type Asked, emptyList, errorXml, isList, tier } from "./support/ScriptedServer.ts"

/** A server that finds nothing and answers so to what would write. */
const answering = (answer: Answer) => (asked: Asked) =>
  isList(asked) ? emptyList : asked.method === "HEAD" ? { status: 404 } : answer

interface Row {
  readonly answer: Answer
  readonly reason: Reason["_tag"]
  readonly message: RegExp
  /** Whether a write that is answered so may have taken effect. */
  readonly isUnknown: boolean
}

const coded = (status: number, code: string, reason: Reason["_tag"], isUnknown: boolean): Row => ({
  answer: { status, body: errorXml(code) },
  reason,
  message: new RegExp(`${reason}: ${code} \\(HTTP ${status}\\): The message of ${code}\\.`),
  isUnknown
})

const rows: ReadonlyArray<Row> = [
  coded(403, "AccessDenied", "Denied", false),
  coded(403, "InvalidAccessKeyId", "Denied", false),
  coded(403, "SignatureDoesNotMatch", "Denied", false),
  coded(400, "ExpiredToken", "Denied", false),
  coded(403, "RequestTimeTooSkewed", "Denied", false),
  coded(404, "NoSuchBucket", "Denied", false),
  coded(400, "MetadataTooLarge", "Denied", false),
  coded(503, "SlowDown", "Throttled", false),
  coded(503, "ServiceUnavailable", "Throttled", false),
  coded(503, "RequestLimitExceeded", "Throttled", false),
  coded(429, "TooManyRequests", "Throttled", false),
  coded(400, "EntityTooLarge", "NoSpace", false),
  coded(403, "QuotaExceeded", "NoSpace", false),
  coded(507, "XMinioStorageFull", "NoSpace", false),
  coded(400, "BadDigest", "Corrupt", false),
  coded(400, "XAmzContentChecksumMismatch", "Corrupt", false),
  coded(501, "NotImplemented", "Unsupported", false),
  coded(400, "RequestTimeout", "Unavailable", true),
  coded(500, "InternalError", "Unavailable", true),
  {
    answer: {
      status: 301,
      headers: { "x-amz-bucket-region": "eu-west-1" },
      body: errorXml("PermanentRedirect")
    },
    reason: "Denied",
    message: /PermanentRedirect \(HTTP 301\): .*; the bucket is in the region eu-west-1$/,
    isUnknown: false
  },
  {
    answer: { status: 400, body: errorXml("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") },
    reason: "Denied",
    message: /AuthorizationHeaderMalformed \(HTTP 400\): .*; the bucket is in the region eu-west-1$/,
    isUnknown: false
  },
  // What stands between the tier and S3 speaks no S3.
  {
    answer: { status: 503, headers: { "content-type": "text/html" }, body: "<html>no upstream</html>" },
    reason: "Unavailable",
    message: /HTTP 503/,
    isUnknown: true
  },
  {
    answer: { status: 502, headers: { "content-type": "text/html" }, body: "Bad Gateway" },
    reason: "Unavailable",
    message: /HTTP 502/,
    isUnknown: true
  }
]

describe("answers of servers", () => {
  for (const { answer, isUnknown, message, reason } of rows) {
    const shown = `${answer.status} ${/<Code>(\w+)/.exec(String(answer.body))?.[1] ?? "without a code"}`
    it.live(`put - answered ${shown}, is ${reason}${isUnknown ? ", of unknown outcome" : ""}`, () =>
      Effect.gen(function* () {
        const self = yield* tier(answering(answer), { conditionalWrites: false })

        const error = yield* Effect.flip(self.put(Fixtures.blob()))

        assert.strictEqual(error.reason._tag, reason, error.message)
        assert.match(error.message, message)
        assert.notInclude(error.message, "\n")
        assert.strictEqual(error.isUnknownOutcome, isUnknown)
        if ("cause" in error.reason) assert.instanceOf(error.reason.cause, Error)
      })
    )
  }

  it.live.each([503, 429])("head - answered %i, asks nothing more of a server that wants fewer requests", (status) =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const self = yield* tier(
        (request) => {
          if (isList(request)) return emptyList
          asked.push(request.method)
          return { status }
        },
        { conditionalWrites: false }
      )

      const error = yield* Effect.flip(self.head(Fixtures.blob().header.key))

      assert.strictEqual(error.reason._tag, "Throttled")
      assert.deepStrictEqual(asked, ["HEAD"])
    })
  )

  it.live("a start in the wrong region - names the right one", () =>
    Effect.gen(function* () {
      const redirect = {
        status: 301,
        headers: { "x-amz-bucket-region": "eu-west-1" },
        body: errorXml("PermanentRedirect")
      }

      const error = yield* Effect.flip(tier(() => redirect))

      assert.strictEqual(error.reason, "wrong-region")
      assert.match(error.message, /the bucket is in the region eu-west-1\. Set region to "eu-west-1"$/)
    })
  )

  it.live("a server that fails at start - is unreachable, and no reason to fail if ifUnreachable says so", () =>
    Effect.gen(function* () {
      const answers = () => ({ status: 500, body: errorXml("InternalError") })

      const error = yield* Effect.flip(tier(answers))
      const self = yield* tier(answers, { ifUnreachable: "warn" })

      assert.strictEqual(error.reason, "unreachable")
      assert.strictEqual((yield* Effect.flip(self.get(Fixtures.blob().header.key))).reason._tag, "Unavailable")
    })
  )

  describe("a server that ignores conditions", () => {
    const created = { status: 200, headers: { etag: '"0123456789abcdef0123456789abcdef"' } }
    const upload = `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`
    const completed = `<CompleteMultipartUploadResult><ETag>"x-1"</ETag></CompleteMultipartUploadResult>`
    /** Keeps nothing, and refuses only what `isRefused` says. */
    const ignoring = (isRefused: (asked: Asked) => boolean, refusal = 412) => {
      let puts = 0
      return (asked: Asked): Answer => {
        if (isList(asked)) return emptyList
        if (asked.method === "HEAD") return { status: 404 }
        // The first put makes the object that the others are tried out on.
        const isFirst = asked.method === "PUT" && !asked.url.includes("partNumber") && puts++ === 0
        if (!isFirst && isRefused(asked)) return { status: refusal, body: errorXml("PreconditionFailed") }
        if (asked.method === "DELETE") return { status: 204 }
        if (asked.method === "POST") return { status: 200, body: asked.url.includes("uploads") ? upload : completed }
        return created
      }
    }
    const isConditional = ({ headers }: Asked) => "if-match" in headers || "if-none-match" in headers
    const ignored: ReadonlyArray<readonly [what: string, isRefused: (asked: Asked) => boolean]> = [
      ["If-None-Match of PutObject", () => false],
      ["If-Match of PutObject", ({ headers }) => "if-none-match" in headers],
      ["If-None-Match of CompleteMultipartUpload", (asked) => isConditional(asked) && asked.method !== "POST"],
      ["If-Match of DeleteObject", (asked) => isConditional(asked) && asked.method !== "DELETE"]
    ]

    for (const [what, isRefused] of ignored) {
      it.live(`${what} - is found out at start`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(tier(ignoring(isRefused)))

          assert.strictEqual(error.reason, "ignores-conditions")
          assert.include(error.message, `the server ignores ${what}, so an older blob could replace a newer one. Set`)
        })
      )
    }

    it.live("that does not know conditions - is found out at start", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(tier(ignoring(isConditional, 501)))

        assert.strictEqual(error.reason, "ignores-conditions")
      })
    )

    it.live("that could not be reached at start - is found out before the first write, which is not sent", () =>
      Effect.gen(function* () {
        let isDown = true
        const writes: Array<string> = []
        const server = ignoring(() => false)
        const self = yield* tier(
          (asked) => {
            if (isDown) return { status: 500, body: errorXml("InternalError") }
            if (asked.url.includes("fixture")) writes.push(asked.method)
            return server(asked)
          },
          { ifUnreachable: "warn" }
        )
        isDown = false
        const blob = Fixtures.blob()
        const calls: ReadonlyArray<Effect.Effect<unknown, TierError>> = [
          self.put(blob),
          self.remove(blob.header.key, 1),
          self.removeGroup("fixture", 1)
        ]

        for (const call of calls) {
          const error = yield* Effect.flip(call)
          assert.strictEqual(error.reason._tag, "Unsupported")
          assert.include(error.message, "set conditionalWrites to false")
          assert.isFalse(error.isUnknownOutcome)
        }

        assert.deepStrictEqual(writes, [])
      })
    )
  })

  it.live("a connection that the server has closed while it lay idle - costs a read nothing, and fails a write", () =>
    Effect.gen(function* () {
      let isClosing = false
      const self = yield* tier(
        (asked) => {
          if (isList(asked)) return emptyList
          // As when the request and the server's end of the connection cross.
          if (isClosing) {
            isClosing = asked.method === "HEAD"
            if (asked.method !== "HEAD") return "hang up"
          }
          return { status: 404, body: asked.method === "HEAD" ? "" : errorXml("NoSuchKey") }
        },
        { conditionalWrites: false }
      )
      const { key } = Fixtures.blob().header

      isClosing = true
      assert.deepStrictEqual(yield* self.get(key), { _tag: "Miss" })
      isClosing = true
      const error = yield* Effect.flip(self.put(Fixtures.blob()))

      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.isTrue(error.isUnknownOutcome)
    })
  )

  it.live("a server that ignores ranges - gives small blobs, and fails streams instead of giving other bytes", () =>
    Effect.gen(function* () {
      const blobs = [Fixtures.blob({ group: "small" }), Fixtures.blob({ group: "large", size: 3 * Header.chunkBytes })]
      const objects = yield* Effect.forEach(blobs, (blob) =>
        Effect.all({ bytes: Body.toBytes(blob.body), terrace: Header.encode(blob.header) })
      )
      const self = yield* tier(
        (asked) => {
          const object = objects[asked.url.includes("/small/") ? 0 : 1]
          return isList(asked) || object === undefined
            ? emptyList
            : {
                status: 200,
                headers: { etag: '"e"', "x-amz-meta-terrace": object.terrace },
                body: object.bytes
              }
        },
        { conditionalWrites: false }
      )
      const [small, large] = yield* Effect.forEach(blobs, ({ header }) => self.get(header.key))

      assert.strictEqual(small?._tag, "Hit")
      if (large?._tag !== "Hit") assert.fail("expected Hit")
      const error = yield* Effect.flip(Body.toBytes(large.blob.body))
      assert.match(error.message, /no range instead of the range that was asked for/)
    })
  )
})

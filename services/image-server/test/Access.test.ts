import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Access from "../src/Access.ts"

const token = "3f9c2a7e51d84b06"
const reads = ["GET", "HEAD", "OPTIONS"]
const writes = ["PUT", "POST", "DELETE", "PATCH", "get", ""]

describe("Access with a token", () => {
  const access = Access.make(Redacted.make(token))
  const given = (authorization: string) => access("PUT", "token", { host: "images.example", authorization })

  it("lets everyone read what is public, from any host and origin", () => {
    for (const method of reads) {
      const headers = { host: "images.example", origin: "https://other.example", "sec-fetch-site": "cross-site" }
      assert.strictEqual(access(method, "public", headers)._tag, "Allowed")
      assert.strictEqual(access(method, "public", {})._tag, "Allowed")
    }
  })

  it("lets who has the token do everything", () => {
    for (const method of [...reads, ...writes]) {
      const headers = { authorization: `Bearer ${token}`, origin: "https://other.example" }
      assert.strictEqual(access(method, "token", headers)._tag, "Allowed")
      assert.strictEqual(access(method, "public", headers)._tag, "Allowed")
    }
  })

  it("asks for the token where there is none", () => {
    assert.deepStrictEqual(access("GET", "token", { host: "localhost" }), {
      _tag: "Unauthorized",
      reason: "this needs the header Authorization: Bearer <token>",
      challenge: `Bearer realm="terrace"`
    })
  })

  it("takes every method but GET, HEAD and OPTIONS for a write, even on a public route", () => {
    for (const method of writes)
      assert.strictEqual(access(method, "public", { host: "localhost" })._tag, "Unauthorized")
  })

  it("takes the scheme in any case and with several blanks", () => {
    for (const authorization of [`bearer ${token}`, `BEARER ${token}`, `Bearer   ${token} `]) {
      assert.strictEqual(given(authorization)._tag, "Allowed")
    }
  })

  const wrong: ReadonlyArray<string> = [
    "Bearer",
    "Bearer ",
    `Bearer ${token}x`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token.toUpperCase()}`,
    `Bearer ${token} ${token}`,
    `Bearer "${token}"`,
    `Bearer ${token},`
  ]
  for (const authorization of wrong) {
    it(`refuses ${JSON.stringify(authorization)} as a wrong token`, () => {
      const decision = given(authorization)
      assert.isTrue(
        decision._tag === "Unauthorized" && decision.challenge === `Bearer realm="terrace", error="invalid_token"`
      )
    })
  }

  for (const authorization of [
    `Basic ${token}`,
    token,
    `Bearer:${token}`,
    `Bearer\t${token}`,
    "",
    ` Bearer ${token}`
  ]) {
    it(`refuses ${JSON.stringify(authorization)} as another scheme`, () => {
      const decision = given(authorization)
      assert.isTrue(decision._tag === "Unauthorized" && decision.reason.includes("another scheme"))
    })
  }

  it("never repeats the token or what was sent", () => {
    for (const authorization of [`Bearer ${token}x`, `Basic ${token}`]) {
      assert.notInclude(JSON.stringify(given(authorization)), token)
    }
  })

  it.prop("never throws, and lets nobody in by chance", [Schema.String, Schema.String], ([method, text]) => {
    assert.strictEqual(access(method, "token", { authorization: `Bearer ${text}` })._tag, "Unauthorized")
    assert.strictEqual(access(method, "token", { authorization: text })._tag, "Unauthorized")
  })
})

describe("Access without a token", () => {
  const access = Access.make(undefined)
  const host = "localhost:8080"

  it("lets programs on this machine do everything", () => {
    for (const method of [...reads, ...writes]) {
      for (const visibility of ["public", "token"] as const) {
        assert.strictEqual(access(method, visibility, { host })._tag, "Allowed")
      }
    }
  })

  it("refuses names that are not loopback, on every route", () => {
    for (const foreign of ["images.example", "rebound.example:8080", "192.168.1.5:8080", undefined]) {
      for (const visibility of ["public", "token"] as const) {
        for (const method of ["GET", "PUT"]) {
          assert.strictEqual(access(method, visibility, { host: foreign })._tag, "Forbidden")
        }
      }
    }
  })

  it("a page whose name resolves to loopback is refused, though it is its own origin", () => {
    const headers = { host: "evil.example:8080", origin: "http://evil.example:8080", "sec-fetch-site": "same-origin" }
    assert.strictEqual(access("PUT", "token", headers)._tag, "Forbidden")
    assert.strictEqual(access("GET", "public", headers)._tag, "Forbidden")
  })

  it("lets pages of any origin show public images", () => {
    for (const site of ["cross-site", "same-site", "same-origin", "none"]) {
      const headers = { host, origin: "https://other.example", "sec-fetch-site": site }
      assert.strictEqual(access("GET", "public", headers)._tag, "Allowed")
      assert.strictEqual(access("HEAD", "public", headers)._tag, "Allowed")
    }
  })

  it("refuses writes, and reads of what is not public, from other origins", () => {
    const origins = [
      "https://other.example",
      "http://localhost:3000",
      "http://localhost",
      "http://127.0.0.1:8080",
      "null",
      "",
      "file://",
      "localhost:8080",
      "http://localhost:8080.evil.example",
      "http://localhost:8080@evil.example",
      "http://evil.example/localhost:8080",
      "chrome-extension://localhost:8080",
      "http://localhost:8080, http://evil.example"
    ]
    for (const origin of origins) {
      for (const method of writes) {
        assert.strictEqual(access(method, "token", { host, origin })._tag, "Forbidden", `${method} ${origin}`)
        assert.strictEqual(access(method, "public", { host, origin })._tag, "Forbidden", `${method} ${origin}`)
      }
      assert.strictEqual(access("GET", "token", { host, origin })._tag, "Forbidden", origin)
    }
  })

  it("takes writes from its own pages", () => {
    const pages: ReadonlyArray<readonly [host: string, origin: string]> = [
      ["localhost:8080", "http://localhost:8080"],
      ["LOCALHOST:8080", "http://localhost:8080"],
      ["127.0.0.1:8080", "http://127.0.0.1:8080"],
      ["[::1]:8080", "http://[::1]:8080"],
      ["localhost", "http://localhost"],
      ["localhost:80", "http://localhost"],
      ["localhost", "https://localhost"],
      ["localhost:443", "https://localhost"]
    ]
    for (const [host, origin] of pages) {
      assert.strictEqual(
        access("PUT", "token", { host, origin, "sec-fetch-site": "same-origin" })._tag,
        "Allowed",
        origin
      )
    }
  })

  it("goes by Sec-Fetch-Site where there is no Origin", () => {
    for (const site of ["cross-site", "same-site", "unheard-of", ""]) {
      assert.strictEqual(access("POST", "token", { host, "sec-fetch-site": site })._tag, "Forbidden", site)
      assert.strictEqual(access("GET", "token", { host, "sec-fetch-site": site })._tag, "Forbidden", site)
    }
    for (const site of ["same-origin", "none"]) {
      assert.strictEqual(access("POST", "token", { host, "sec-fetch-site": site })._tag, "Allowed", site)
    }
  })

  it("does not look at Authorization or at forwarding headers", () => {
    assert.strictEqual(access("PUT", "token", { host, authorization: "Bearer x" })._tag, "Allowed")
    assert.strictEqual(access("PUT", "token", { host: "evil.example", "x-forwarded-host": host })._tag, "Forbidden")
  })

  it.prop("never throws", [Schema.String, Schema.String, Schema.String], ([host, origin, site]) => {
    access("PUT", "token", { host, origin, "sec-fetch-site": site })
    assert.strictEqual(access("PUT", "token", { host: "localhost", origin: `x${origin}` })._tag, "Forbidden")
  })
})

describe("Access.isLoopbackHost", () => {
  const loopback = [
    "localhost",
    "localhost:8080",
    "LocalHost:1",
    "terrace.localhost",
    "a.b-c.localhost:8080",
    "127.0.0.1",
    "127.0.0.1:65535",
    "127.1.2.3",
    "127.255.255.255",
    "[::1]",
    "[::1]:8080"
  ]
  const foreign = [
    "",
    ":8080",
    "example.com",
    "localhost.example.com",
    "notlocalhost",
    "xlocalhost:8080",
    ".localhost",
    "a..localhost",
    "-a.localhost",
    "a b.localhost",
    "evil@x.localhost",
    "evil.example/.localhost",
    "localhost.",
    "localhost:",
    "localhost:x",
    "localhost:123456",
    "localhost:80:80",
    "localhost@evil.example",
    "localhost, evil.example",
    "127.0.0.1.nip.io",
    "127.0.0.1.",
    "127.1",
    "127.0.0.256",
    "127.0.0.01",
    "127.0.0.1.1",
    "127.0.0.1\n",
    "localhost\n",
    "0177.0.0.1",
    "2130706433",
    "0x7f000001",
    "0.0.0.0",
    "10.0.0.1",
    "128.0.0.1",
    "::1",
    "[::]",
    "[::1",
    "[::1]x",
    "[::1]:",
    "[::1]:8080:1",
    "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:0:0:1]",
    "١٢٧.0.0.1",
    "ⓛocalhost"
  ]
  for (const host of loopback) it(`takes ${host}`, () => assert.isTrue(Access.isLoopbackHost(host)))
  for (const host of foreign) {
    it(`refuses ${JSON.stringify(host)}`, () => assert.isFalse(Access.isLoopbackHost(host)))
  }
})

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { deploymentOf, problemsOf } from "./support/decoding.ts"

const dataDir = (text: string, environment = {}) => deploymentOf(`dataDir: '${text}'`, environment).dataDir

describe("${NAME}", () => {
  it("stands for a variable, anywhere in a value", () => {
    assert.strictEqual(dataDir("/var/${A}/${B}", { A: "lib", B: "terrace" }), "/var/lib/terrace")
    assert.strictEqual(deploymentOf("server:\n  port: ${PORT}", { PORT: "1234" }).server.port, 1_234)
    assert.isTrue(deploymentOf("images:\n  keepOriginal: ${KEEP}", { KEEP: "yes" }).images.keepOriginal)
  })

  it("may have a default, for a variable that is not set or blank", () => {
    assert.strictEqual(dataDir("${A:-/var/lib}"), "/var/lib")
    assert.strictEqual(dataDir("${A:-/var/lib}", { A: " " }), "/var/lib")
    assert.strictEqual(dataDir("${A:-/var/lib}", { A: "/srv" }), "/srv")
  })

  it("counts as not there if nothing is left", () => {
    assert.isUndefined(deploymentOf("server:\n  token: ${TOKEN:-}").server.token)
    assert.strictEqual(deploymentOf("server:\n  port:").server.port, 8_080)
  })

  it("stands for itself after a $", () => {
    assert.strictEqual(dataDir("/a/$${B}/$B/$$", { B: "b" }), "/a/${B}/$B/$$")
  })

  it("is read once: what a variable holds is neither a reference nor YAML", () => {
    assert.strictEqual(dataDir("${A}", { A: "${B}", B: "b" }), "${B}")
    const { images, server } = deploymentOf("server:\n  host: 127.0.0.1\n  token: ${TOKEN}", {
      TOKEN: "aGVsbG8=",
      OTHER: "x"
    })
    assert.strictEqual(server.token && Redacted.value(server.token), "aGVsbG8=")
    assert.strictEqual(images.quality, 85)
    assert.deepStrictEqual(problemsOf("server:\n  token: ${TOKEN}", { TOKEN: "a\nimages:\n  quality: 1" }), [
      "terrace.yaml: server.token: found a value that is not shown, expected letters, digits and -._~+/= without blanks (RFC 6750), for example 3f9c2a7e51d84b06"
    ])
  })

  it("is not read in keys", () => {
    assert.deepStrictEqual(problemsOf("presets:\n  '${A}': {}", { A: "card" }), [
      'terrace.yaml: presets."${A}": found a name that cannot be used, expected 1 to 48 lower-case letters, digits, _ or -, for example thumb'
    ])
  })

  it("of a variable that is not set is a problem that names place and variable, every one", () => {
    assert.deepStrictEqual(problemsOf("dataDir: ${A}/${B}\nserver:\n  port: ${C}", { B: "" }), [
      "terrace.yaml: dataDir: found ${A}, expected a variable that is set, or a default, for example ${A:-value}",
      "terrace.yaml: dataDir: found ${B}, expected a variable that is set, or a default, for example ${B:-value}",
      "terrace.yaml: server.port: found ${C}, expected a variable that is set, or a default, for example ${C:-value}"
    ])
  })

  it("that is not closed, or has no name, is a problem", () => {
    for (const text of ["${A", "${}", "${1A}", "${A-b}", "a${ b"]) {
      assert.deepStrictEqual(problemsOf(`dataDir: '${text}'`, { A: "a" }), [
        "terrace.yaml: dataDir: found ${ that is not closed, or without a name, expected ${NAME} or ${NAME:-default}, or $${ for the two characters, for example ${TERRACE_TOKEN}"
      ])
    }
  })

  it.effect.prop("puts in any value whole", [Schema.String], ([value]) =>
    Effect.sync(() => {
      const set = value.trim()
      if (set === "" || set.includes("\0")) return
      assert.strictEqual(dataDir("${A}", { A: value }), set)
    })
  )
})

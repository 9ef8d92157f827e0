import { assert, describe, it } from "@effect/vitest"
import { deploymentOf, problemsOf } from "./support/decoding.ts"

/** What is wrong, without the name of the file that each line begins with. */
const wrong = (text: string, environment = {}): ReadonlyArray<string> =>
  problemsOf(text, environment).map((problem) => problem.replace(/^terrace\.yaml: /, ""))

/** A deployment that is right, with one of its sections in the words of a test. */
const withTiers = (tiers: string, chains: string, rest = "") => `
tiers:
${tiers
  .trim()
  .split("\n")
  .map((line) => `  ${line.trim()}`)
  .join("\n")}
chains: ${chains}
${rest}
`

const memory = "memory: { type: memory }"
const disk = "disk: { type: filesystem }"
const usual = "{ masters: { caches: [memory], store: disk }, variants: { caches: [memory] } }"

describe("a file that is wrong", () => {
  it("is told of everything at once, a line each, by place, find, expectation and example", () => {
    const text = `
server: { port: eighty, hots: "127.0.0.1", token: 123 }
limits: { uploadBytes: lots }
tiers:
  memory: { type: memory, maxBytes: 1 }
  disk: { type: filesystem, maxAge: 3 }
  s3: { type: s3 }
chains:
  masters: { caches: [memory, { tier: disk, deadline: 5, retry: { times: 99 } }], store: s4 }
  variants: { caches: memory }
catalog: { tll: 3 }
bus: 7
presets: { card: { fit: covr } }
`
    assert.deepStrictEqual(problemsOf(text), [
      "terrace.yaml: server.hots: found a key that is not known, expected one of host, port, token, maxAge, resourcePolicy, for example host",
      'terrace.yaml: server.port: found "eighty", expected a whole number from 0 to 65535, for example 8080',
      "terrace.yaml: server.token: found a value that is not shown, expected letters, digits and -._~+/= without blanks (RFC 6750), in quotes, for example 3f9c2a7e51d84b06",
      'terrace.yaml: limits.uploadBytes: found "lots", expected a size of at least 1 and at most 268435456 bytes, with or without a unit such as kB, MB, KiB or MiB, for example 20MB',
      "terrace.yaml: tiers.memory.maxBytes: found 1, expected a size of at least 16384 bytes, with or without a unit such as kB, MB, KiB or MiB, for example 512MB",
      "terrace.yaml: tiers.disk.maxAge: found 3, expected at least a second, as a number with a unit such as seconds, minutes, hours or days, or 0 for never, for example 7 days",
      "terrace.yaml: tiers.s3.bucket: found nothing, expected the name of a bucket, or the ARN of an access point, for example my-images",
      "terrace.yaml: chains.masters.caches[1].deadline: found 5, expected from 1 millis to 10 minutes, as a number with a unit such as millis, seconds, minutes or hours, for example 30 seconds",
      "terrace.yaml: chains.masters.caches[1].retry.times: found 99, expected a whole number from 1 to 10, for example 3",
      'terrace.yaml: chains.variants.caches: found "memory", expected a list of tiers, for example [memory]',
      "terrace.yaml: catalog.tll: found a key that is not known, expected one of ttl, for example ttl",
      "terrace.yaml: bus: found 7, expected on or off (also true, false, yes, no, 1, 0), for example off",
      'terrace.yaml: presets.card.fit: found "covr", expected one of inside, outside, cover, contain, fill, for example cover',
      'terrace.yaml: chains.masters.store: found "s4", expected the name of a tier (memory, disk, s3), for example s3',
      "terrace.yaml: catalog: found on, but there is no redis, expected redis.url, which it needs, for example redis: { url: redis://127.0.0.1:6379 }"
    ])
  })

  it("is told of what stands where keys, lists or values should", () => {
    assert.deepStrictEqual(wrong("- a"), [
      "found a list, expected keys below it (dataDir, server, images, limits, redis, tiers, chains, catalog, legacy, bus, leases, delivery, presets)"
    ])
    assert.deepStrictEqual(wrong("delivery: redirect"), [
      'delivery: found "redirect", expected keys below it (mode, above, expiry, cdnUrl)'
    ])
    assert.deepStrictEqual(wrong("dataDir: { a: 1 }"), [
      "dataDir: found keys below it, expected the path of a directory, for example /var/lib/terrace"
    ])
    assert.deepStrictEqual(wrong("catalog: maybe"), [
      'catalog: found "maybe", expected on, off, or keys below it (ttl), for example { ttl: 1 day }'
    ])
  })

  it("is told which of the two chains is missing, and what it looks like", () => {
    assert.deepStrictEqual(wrong(withTiers(`${memory}\n${disk}`, "{ masters: { caches: [memory], store: disk } }")), [
      "chains.variants: found nothing, expected keys below it (caches), for example variants: { caches: [memory] }"
    ])
    assert.deepStrictEqual(wrong(withTiers(memory, "{ variants: { caches: [memory] } }")), [
      "chains.masters: found nothing, expected keys below it (caches, store, revalidateAfter), for example masters: { caches: [memory], store: disk }"
    ])
  })

  it("is told which types of tiers there are", () => {
    assert.deepStrictEqual(wrong(withTiers(`${memory}\n${disk}\nx: { type: ftp }\ny: 5\nz: { maxBytes: 1 }`, usual)), [
      'tiers.x.type: found "ftp", expected one of memory, filesystem, s3, redis, for example filesystem',
      "tiers.y: found 5, expected keys below it with type, for example { type: memory }",
      "tiers.z.type: found nothing, expected one of memory, filesystem, s3, redis, for example filesystem",
      "tiers.x: found a tier that no chain uses, expected one that chains.masters or chains.variants names, or none, for example chains.variants.caches: [x]",
      "tiers.z: found a tier that no chain uses, expected one that chains.masters or chains.variants names, or none, for example chains.variants.caches: [z]"
    ])
  })

  it("never shows a secret, nor what a variable was put into", () => {
    const text = `
server: { token: "top secret" }
images: { quality: "\${MISPLACED}" }
redis: { url: "http://:topsecret@\${HOST}" }
tiers:
  memory: { type: memory }
  s3: { type: s3, bucket: b, credentials: { accessKeyId: "my secret", secretAccessKey: "my secret" } }
chains: { masters: { store: s3 }, variants: { caches: [memory, "\${MISPLACED}"] } }
`
    const problems = problemsOf(text, { MISPLACED: "topsecret", HOST: "there" })
    assert.strictEqual(problems.length, 7)
    assert.include(problems.join("\n"), 'images.quality: found what "${MISPLACED}" stands for')
    assert.notMatch(problems.join("\n"), /top ?secret|my secret/)
  })
})

describe("a value that the environment replaces", () => {
  it("is told as the environment has it, whatever the file puts there", () => {
    assert.deepStrictEqual(problemsOf("server:\n  port: ${A:-80}", { TERRACE_PORT: "eighty" }), [
      'TERRACE_PORT is "eighty": expected a whole number from 0 to 65535, for example 8080'
    ])
    assert.deepStrictEqual(problemsOf("server:\n  token: my ${A}", { A: "a", TERRACE_TOKEN: "my secret" }), [
      "TERRACE_TOKEN cannot be used as it is: expected letters, digits and -._~+/= without blanks (RFC 6750), for example 3f9c2a7e51d84b06"
    ])
  })
})

describe("text that cannot be read", () => {
  it("is told with the line, and without what stands there", () => {
    assert.deepStrictEqual(wrong("a: 1\nb: 2\na: 3"), [
      "found text that cannot be read (duplicate key 'a' at line 3), expected YAML"
    ])
    assert.deepStrictEqual(wrong("server:\n  token: *topsecret"), [
      "found text that cannot be read (unknown YAML alias …), expected YAML"
    ])
    assert.deepStrictEqual(wrong(`"a\\nb": 1\n"a\\nb": 2`), [
      "found text that cannot be read (duplicate key 'a b' at line 2), expected YAML"
    ])
    assert.deepStrictEqual(wrong("server:\n  port: 80\n token: topsecret"), [
      "found text that cannot be read (unexpected indentation of 1 spaces at line 3), expected YAML"
    ])
  })

  it("is told to have variables in quotes between braces, which YAML takes for its own", () => {
    for (const text of ["server: { port: 0, token: ${TOKEN} }", "server: {token: ${TOKEN}}"]) {
      assert.match(
        wrong(text)[0] ?? "",
        /^found text that cannot be read \(.*\), expected YAML, with quotes around \$\{NAME\} between \{ and \}, for example \{ token: "\$\{TOKEN\}" \}$/
      )
    }
    assert.strictEqual(deploymentOf('server: { token: "${TOKEN}" }', { TOKEN: "3f9c2a7e" }).server.port, 8080)
  })

  it("is JSON where the name says so, each key once", () => {
    assert.strictEqual(deploymentOf('{"server": {"port": 1234}}', {}, "terrace.json").server.port, 1234)
    assert.deepStrictEqual(problemsOf('{\n  "server": { "token": topsecret }\n}', {}, "terrace.json"), [
      "terrace.json: found text that cannot be read, expected JSON"
    ])
    assert.deepStrictEqual(problemsOf('{\n  "server": { "port": 80, }\n}', {}, "terrace.json"), [
      "terrace.json: found text that cannot be read (line 2, column 27), expected JSON"
    ])
    assert.deepStrictEqual(problemsOf('{"a": [{"b": "a\\""}, {"b": 1, "\\u0062": 2}]}', {}, "terrace.json"), [
      'terrace.json: found the key "b" twice in one object, expected each key once'
    ])
  })

  it("is refused if it is without measure", () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]\n${Array.from("bcdefgh")
      .map((name, index) => `${name}: &${name} [${Array(10).fill(`*${"abcdefg"[index]}`).join(", ")}]`)
      .join("\n")}`
    assert.include(wrong(bomb)[0], "found values without end, expected at most 10000 values, at most 32 deep")
    assert.include(wrong(`a: ${"[".repeat(40)}${"]".repeat(40)}`)[0], "found keys below keys without end")
    assert.deepStrictEqual(wrong("#".repeat(1_048_577)), ["found 1048577 characters, expected at most 1048576"])
  })
})

describe("tiers and chains", () => {
  it("come together, or not at all", () => {
    assert.include(
      wrong("tiers: { memory: { type: memory } }"),
      "chains: found nothing, expected tiers and chains together, or none of them, for example chains: { masters: { caches: [memory], store: disk } }"
    )
    assert.include(
      wrong("chains: { masters: { store: disk }, variants: {} }"),
      "tiers: found nothing, expected tiers and chains together, or none of them, for example tiers: { memory: { type: memory } }"
    )
  })

  it("have a store of masters", () => {
    assert.deepStrictEqual(wrong(withTiers(memory, "{ masters: { caches: [memory] }, variants: {} }")), [
      "chains.masters.store: found nothing, expected the name of a filesystem or s3 tier, or keys below it with tier, for example disk"
    ])
  })

  it("have a store that keeps what it has acknowledged", () => {
    assert.deepStrictEqual(wrong(withTiers(memory, "{ masters: { store: memory }, variants: {} }")), [
      'chains.masters.store: found "memory", of the type memory, expected a tier of the type filesystem or s3, since memory forgets everything when the process ends, for example disk'
    ])
    assert.deepStrictEqual(
      wrong(
        withTiers(
          "r: { type: redis }",
          "{ masters: { store: { tier: r } }, variants: {} }",
          "redis: { url: 'redis://r' }"
        )
      ),
      [
        'chains.masters.store.tier: found "r", of the type redis, expected a tier of the type filesystem or s3, since Redis takes small images only, and may lose what it has acknowledged, for example disk'
      ]
    )
    assert.deepStrictEqual(
      wrong(withTiers(`${memory}\ndisk: { type: filesystem, durability: file, maxAge: 1 day, lowMark: 0.5 }`, usual)),
      [
        'tiers.disk.durability: found "file", expected file+directory in a store: what it has acknowledged must survive a power failure, for example file+directory',
        "tiers.disk.maxAge: found an option of caches, expected none in the store of masters, which never forgets",
        "tiers.disk.lowMark: found an option of caches, expected none in the store of masters, which never forgets"
      ]
    )
    assert.deepStrictEqual(
      wrong(withTiers(disk, "{ masters: { store: { tier: disk, secondTouch: on } }, variants: {} }")),
      [
        "chains.masters.store.secondTouch: found an option of caches, expected none at the store, which takes everything"
      ]
    )
  })

  it("have no store that is a cache too, and no tier twice in a chain", () => {
    assert.deepStrictEqual(
      wrong(
        withTiers(
          `${memory}\n${disk}`,
          "{ masters: { caches: [memory], store: disk }, variants: { caches: [memory, disk] } }"
        )
      ),
      ['chains.variants.caches[1]: found "disk", expected a tier other than the store of masters, which never forgets']
    )
    assert.deepStrictEqual(
      wrong(withTiers(`${memory}\n${disk}`, "{ masters: { caches: [memory, disk], store: disk }, variants: {} }")),
      ['chains.masters.caches[1]: found "disk", expected a tier other than the store of masters, which never forgets']
    )
    assert.deepStrictEqual(
      wrong(withTiers(`${memory}\n${disk}`, "{ masters: { caches: [memory, memory], store: disk }, variants: {} }")),
      ['chains.masters.caches[1]: found "memory", expected each tier once in a chain']
    )
  })

  it("have names that can be used, told apart in a chain", () => {
    assert.include(
      wrong(
        withTiers(`Memory: { type: memory }\n${disk}`, "{ masters: { caches: [Memory], store: disk }, variants: {} }")
      ),
      "tiers.Memory: found a name that cannot be used, expected 1 to 32 lower-case letters, digits or -, a letter first, for example disk-2"
    )
    assert.deepStrictEqual(wrong(withTiers(`memory: { type: memory, name: disk }\n${disk}`, usual)), [
      "tiers.disk.name: found the name that memory has too, expected another name for each tier of a chain, for example disk"
    ])
    assert.deepStrictEqual(wrong("presets: { Card: {} }"), [
      "presets.Card: found a name that cannot be used, expected 1 to 48 lower-case letters, digits, _ or -, for example thumb"
    ])
  })

  it("have a directory each", () => {
    const chains = "{ masters: { store: disk }, variants: { caches: [other] } }"
    for (const root of ["disk", "./disk/", "x/../disk"]) {
      assert.deepStrictEqual(wrong(withTiers(`${disk}\nother: { type: filesystem, root: ${root} }`, chains)), [
        "tiers.other.root: found the directory of disk, expected a directory for each tier, for example other"
      ])
    }
    for (const root of ["disk/inner", "."]) {
      assert.deepStrictEqual(wrong(withTiers(`${disk}\nother: { type: filesystem, root: ${root} }`, chains)), [
        "tiers.other.root: found a directory that lies in the one of disk, or around it, expected a directory for each tier, for example other"
      ])
    }
    assert.deepStrictEqual(wrong(withTiers(`${disk}\nother: { type: filesystem, root: disk2 }`, chains)), [])
  })

  it("have a place each in a bucket", () => {
    const chains = "{ masters: { store: a }, variants: { caches: [b] } }"
    const two = (a: string, b: string) => wrong(withTiers(`a: { type: s3, ${a} }\nb: { type: s3, ${b} }`, chains))
    assert.deepStrictEqual(two("bucket: images", "bucket: images, prefix: b/"), [
      'tiers.b.prefix: found "b/", which does not tell its objects from those of a, expected prefixes of which none begins another, in one bucket, for example b/'
    ])
    assert.strictEqual(two("bucket: images, prefix: a/", "bucket: images, prefix: a/b/").length, 1)
    assert.strictEqual(two("bucket: images", "bucket: images").length, 1)
    assert.deepStrictEqual(two("bucket: images, prefix: a/", "bucket: images, prefix: ab/"), [])
    assert.deepStrictEqual(two("bucket: images", "bucket: other"), [])
    assert.deepStrictEqual(
      two("bucket: images, endpoint: 'https://one'", "bucket: images, endpoint: 'https://two'"),
      []
    )
  })
})

describe("a CDN", () => {
  it("serves a bucket", () => {
    assert.deepStrictEqual(wrong("delivery: { cdnUrl: 'https://cdn.example.com' }"), [
      'delivery.cdnUrl: found "https://cdn.example.com", but no tier is a bucket, expected a tier of the type s3, whose objects the CDN serves, or none, for example tiers.bucket: { type: s3, bucket: my-images }'
    ])
    assert.deepStrictEqual(problemsOf("server: { port: 1 }", { TERRACE_CDN_URL: "https://cdn.example.com" }), [
      "TERRACE_CDN_URL is set, but TERRACE_S3_BUCKET is not: expected the name of a bucket, for example my-images"
    ])
    assert.deepStrictEqual(
      problemsOf(withTiers(`${memory}\n${disk}`, usual), { TERRACE_CDN_URL: "https://cdn.example.com" }),
      [
        "TERRACE_CDN_URL is set, but terrace.yaml has none to apply it to: expected a tier of the type s3, or the value in the file, for example delivery.cdnUrl: https://cdn.example.com"
      ]
    )
  })
})

describe("what needs Redis", () => {
  it("is refused without it, if it is said to be on", () => {
    const expected = "expected redis.url, which it needs, for example redis: { url: redis://127.0.0.1:6379 }"
    assert.deepStrictEqual(wrong("{ catalog: on, legacy: { keepOriginal: off }, bus: true, leases: yes }"), [
      `catalog: found on, but there is no redis, ${expected}`,
      `legacy: found on, but there is no redis, ${expected}`,
      `bus: found on, but there is no redis, ${expected}`,
      `leases: found on, but there is no redis, ${expected}`
    ])
    assert.deepStrictEqual(
      wrong(
        withTiers(`${disk}\nsmall: { type: redis }`, "{ masters: { store: disk }, variants: { caches: [small] } }")
      ),
      [`tiers.small.type: found redis, but there is no redis, ${expected}`]
    )
    assert.deepStrictEqual(wrong("{ catalog: off, legacy: no, bus: false, leases: off }"), [])
  })

  it("has room for its largest image", () => {
    const of = (options: string) =>
      wrong(
        withTiers(
          `${disk}\na: { type: redis, ${options} }`,
          "{ masters: { store: disk, caches: [a] }, variants: {} }",
          "redis: { url: 'redis://r' }"
        )
      )
    assert.deepStrictEqual(of("maxBytes: 1MiB, maxBytesUnderWay: 1MB"), [
      'tiers.a.maxBytesUnderWay: found "1MB", expected at least maxBytes, 1048576 bytes, for example 64MiB'
    ])
    assert.strictEqual(of("maxBytesUnderWay: 262143").length, 1)
    assert.deepStrictEqual(of("maxBytesUnderWay: 262144"), [])
  })

  it("has a prefix for each tier", () => {
    assert.deepStrictEqual(
      wrong(
        withTiers(
          `${disk}\na: { type: redis }\nb: { type: redis }`,
          "{ masters: { store: disk, caches: [a] }, variants: { caches: [b] } }",
          "redis: { url: 'redis://r' }"
        )
      ),
      ["tiers.b.prefix: found the one of a, expected a prefix for each tier, for example terrace-b"]
    )
  })
})

describe("a server that other machines reach", () => {
  it("needs a token", () => {
    assert.deepStrictEqual(wrong("server: { host: 0.0.0.0 }"), [
      'server.token: found nothing, but server.host is "0.0.0.0", expected a token when other machines can reach the server, for example the output of "openssl rand -hex 32", or a loopback address, for example token: ${TERRACE_TOKEN}, or host: 127.0.0.1'
    ])
    assert.deepStrictEqual(wrong("server: { host: 0.0.0.0, token: ${TOKEN} }".replace("${TOKEN}", "'${TOKEN}'")), [
      "server.token: found ${TOKEN}, expected a variable that is set, or a default, for example ${TOKEN:-value}"
    ])
    assert.deepStrictEqual(wrong("server: { host: '::1' }"), [])
  })
})

import { assert, describe, it } from "@effect/vitest"
import * as Blob from "@terrace/core/Blob"
import * as Body from "@terrace/core/Body"
import * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import type * as Tier from "@terrace/core/Tier"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { createHash } from "node:crypto"
import { dirname } from "node:path"
import { crc32 } from "node:zlib"
import * as FilesystemTier from "../src/FilesystemTier.ts"
import { blobFiles, directory, files, fresh, temporaryFiles } from "./support/Directory.ts"
import { layer, Watch } from "./support/WatchedFileSystem.ts"

const chunk = Header.chunkBytes

const hitOf = (tier: Tier.Tier, key: Key.Key) =>
  Effect.map(tier.get(key), (read) => {
    if (read._tag !== "Hit") assert.fail(`expected a hit of ${key.text}, got ${read._tag}`)
    return read.blob
  })

const bytesOf = (tier: Tier.Tier, key: Key.Key, range?: Body.Range) =>
  Effect.flatMap(hitOf(tier, key), (blob) =>
    Effect.map(Stream.runCollect(Body.toStream(blob.body, range)), (runs) => Buffer.concat(runs))
  )

const onlyFile = (root: string): string => `${root}/${blobFiles(root)[0] ?? assert.fail("no blob file")}`

const flip = (path: string, position: number): void => {
  const bytes = readFileSync(path)
  bytes[position] = (bytes[position] ?? 0) ^ 0xff
  writeFileSync(path, bytes)
}

describe("files", () => {
  it.effect("put - writes one file that begins with the payload, in the one directory of its group", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store" })
      const master = Fixtures.blob({ group: "hero", name: "master", size: 500 })
      yield* tier.put(master)
      yield* tier.put(Fixtures.blob({ group: "hero", name: "0123456789abcdef~x", size: 10 }))

      const [variant, path] = blobFiles(root)
      assert.strictEqual(dirname(variant ?? ""), dirname(path ?? ""))
      assert.match(path ?? "", /^[0-9a-f]{2}\/[0-9a-f]{2}\/hero~master$/)
      const payload = yield* Body.toBytes(master.body)
      assert.isTrue(readFileSync(`${root}/${path}`).subarray(0, 500).equals(payload))
      assert.deepEqual(temporaryFiles(root), [])
    })
  )

  it.effect("get - opens one file once, and reads a small one with one read", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const watch = new Watch()
      const tier = yield* FilesystemTier.make({ root, role: "store" }).pipe(Effect.provide(layer(watch)))
      const blob = Fixtures.blob({ size: 400_000 })
      yield* tier.put(blob)
      watch.clear()
      yield* hitOf(tier, blob.header.key)
      assert.deepEqual(watch.calls, ["open blob", "fstat blob", "read blob", "closed blob"])
    })
  )

  it.effect("get - answers a body of `inlineBelow` bytes as a stream, a smaller one in memory", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store", inlineBelow: 5_000 })
      for (const [size, tag] of [
        [4_999, "Inline"],
        [5_000, "Streamed"],
        [5_001, "Streamed"]
      ] as const) {
        const blob = Fixtures.blob({ size, group: `size-${size}` })
        yield* tier.put(blob)
        const found = yield* hitOf(tier, blob.header.key)
        assert.strictEqual(found.body._tag, tag)
        assert.isTrue((yield* bytesOf(tier, blob.header.key)).equals(yield* Body.toBytes(blob.body)))
      }
    })
  )

  it.effect("foreign files and directories are ignored", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store" })
      const blob = Fixtures.blob()
      yield* tier.put(blob)
      const path = onlyFile(root)
      mkdirSync(`${root}/lost+found`)
      mkdirSync(`${root}/00/11`, { recursive: true })
      for (const name of [`${root}/readme.txt`, `${root}/00/file`, `${root}/00/11/thumbs.db`, `${root}/00/11/a~B`]) {
        writeFileSync(name, "foreign")
      }
      copyFileSync(path, `${root}/00/11/fixture~master`)
      yield* tier.sweep
      assert.deepInclude(yield* tier.usage, { entries: 1, exact: true })
      assert.strictEqual((yield* Stream.runCollect(tier.scan())).length, 1)
      yield* tier.removeGroup("fixture", 10)
      assert.strictEqual(blobFiles(root).length, 3)
      assert.strictEqual((yield* tier.stats).quarantined, 0)
    })
  )
})

describe("damage", () => {
  const damages: ReadonlyArray<readonly [string, (path: string) => void]> = [
    ["an empty file", (path) => truncateSync(path, 0)],
    ["a truncated file", (path) => truncateSync(path, 200)],
    ["a file without its last byte", (path) => truncateSync(path, statSync(path).size - 1)],
    ["a flipped bit in the payload", (path) => flip(path, 10)],
    ["a flipped bit in the header", (path) => flip(path, 340)],
    ["a flipped bit in the footer", (path) => flip(path, statSync(path).size - 14)],
    ["a foreign file", (path) => writeFileSync(path, "not an image")],
    [
      "a directory",
      (path) => {
        rmSync(path)
        mkdirSync(path)
      }
    ]
  ]
  for (const [what, damage] of damages) {
    for (const role of ["store", "cache"] as const) {
      it.effect(`get - ${what} is set aside: ${role === "store" ? "Corrupt once, then Miss" : "Miss"} (${role})`, () =>
        Effect.gen(function* () {
          const { root, tier } = yield* fresh({ role })
          const blob = Fixtures.blob({ size: 300 })
          yield* tier.put(blob)
          damage(onlyFile(root))
          const first = yield* Effect.result(tier.get(blob.header.key))
          if (role === "cache") assert.deepInclude(first, { _tag: "Success" })
          else if (first._tag === "Success") assert.fail("expected Corrupt")
          else assert.strictEqual(first.failure.reason._tag, "Corrupt")
          assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Miss")
          assert.strictEqual((yield* tier.head(blob.header.key))._tag, "Miss")
          assert.strictEqual((yield* tier.stats).quarantined, 1)
          assert.deepEqual(blobFiles(root), [])
          if (what !== "a directory") {
            assert.strictEqual(files(root).filter((path) => path.startsWith("quarantine/")).length, 1)
          }
          yield* tier.put(blob)
          assert.isTrue((yield* bytesOf(tier, blob.header.key)).equals(yield* Body.toBytes(blob.body)))
        })
      )
    }
  }

  it.effect("get - a file that holds another key is set aside", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache" })
      const blob = Fixtures.blob({ name: "one" })
      yield* tier.put(blob)
      const path = onlyFile(root)
      copyFileSync(path, path.replace("~one", "~two"))
      assert.strictEqual((yield* tier.get(Key.makeUnsafe("fixture", "two")))._tag, "Miss")
      assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Hit")
      assert.strictEqual((yield* tier.stats).quarantined, 1)
    })
  )

  it.effect("get - serves on when the quarantine cannot be used", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache" })
      const blob = Fixtures.blob({ size: 300 })
      yield* tier.put(blob)
      flip(onlyFile(root), 3)
      writeFileSync(`${root}/quarantine`, "a file in the way")
      assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Miss")
      assert.strictEqual((yield* tier.stats).quarantined, 0)
      yield* tier.put(Fixtures.blob({ generation: 2 }))
      assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Hit")
    })
  )

  it.effect("put - over a damaged file sets it aside and stores", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store" })
      yield* tier.put(Fixtures.blob({ generation: 5 }))
      truncateSync(onlyFile(root), 100)
      const blob = Fixtures.blob({ generation: 2 })
      assert.strictEqual((yield* tier.put(blob, { expected: "absent" }))._tag, "Stored")
      assert.strictEqual((yield* tier.stats).quarantined, 1)
      assert.strictEqual((yield* hitOf(tier, blob.header.key)).header.generation, 2)
    })
  )

  it.effect("a file of a later version is left alone: a cache misses, a store says so", () =>
    Effect.gen(function* () {
      for (const role of ["cache", "store"] as const) {
        const { root, tier } = yield* fresh({ role })
        const blob = Fixtures.blob({ size: 300 })
        yield* tier.put(blob)
        const file = readFileSync(onlyFile(root))
        file.writeUInt32BE(2, file.length - 16)
        file.writeUInt32BE(crc32(file.subarray(300, file.length - 12)), file.length - 12)
        writeFileSync(onlyFile(root), file)
        const read = yield* Effect.result(tier.get(blob.header.key))
        if (read._tag === "Success") assert.strictEqual(`${role} ${read.success._tag}`, "cache Miss")
        else assert.strictEqual(`${role} ${read.failure.reason._tag}`, "store Unsupported")
        const newer = Fixtures.blob({ generation: 2 })
        assert.strictEqual((yield* Effect.flip(tier.put(newer))).reason._tag, "Unsupported")
        assert.strictEqual((yield* Effect.flip(tier.remove(blob.header.key, 9))).reason._tag, "Unsupported")
        assert.isTrue(readFileSync(onlyFile(root)).equals(file))
      }
    })
  )

  it.effect("remove and removeGroup - remove damaged files", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "store" })
      const blob = Fixtures.blob()
      for (const remove of [tier.remove(blob.header.key, 1), tier.removeGroup("fixture", 1)]) {
        yield* tier.put(blob)
        truncateSync(onlyFile(root), 100)
        assert.strictEqual((yield* remove)._tag, "Removed")
        assert.deepEqual(blobFiles(root), [])
      }
    })
  )
})

describe("streams", () => {
  const size = 5 * chunk + 17
  const blob = Fixtures.blob({ size, seed: 9 })
  const whole = Body.toBytes(blob.body)

  it.effect("open - delivers any range at the edges of chunks, and reads only the chunks that hold it", () =>
    Effect.gen(function* () {
      const root = yield* directory
      const watch = new Watch()
      const tier = yield* FilesystemTier.make({ root, role: "store" }).pipe(Effect.provide(layer(watch)))
      yield* tier.put(blob)
      const bytes = Buffer.from(yield* whole)
      const { body } = yield* hitOf(tier, blob.header.key)
      const edges = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk - 1, 5 * chunk, size - 1, size]
      for (const start of edges) {
        for (const end of edges.filter((edge) => edge >= start)) {
          watch.clear()
          const runs = yield* Stream.runCollect(Body.toStream(body, { start, end }))
          assert.isTrue(Buffer.concat(runs).equals(bytes.subarray(start, end)), `${start} to ${end}`)
          const chunks = start === end ? 0 : Math.floor((end - 1) / chunk) - Math.floor(start / chunk) + 1
          assert.strictEqual(watch.calls.filter((call) => call === "read blob").length, 1 + chunks)
        }
      }
      assert.strictEqual((yield* bytesOf(tier, blob.header.key, { start: 10, end: size + 100 })).length, size - 10)
    })
  )

  for (const role of ["store", "cache"] as const) {
    it.effect(`open - stops before the damaged chunk, fails with Corrupt and sets the file aside (${role})`, () =>
      Effect.gen(function* () {
        const { root, tier } = yield* fresh({ role })
        yield* tier.put(blob)
        flip(onlyFile(root), 3 * chunk + 5)
        const { body } = yield* hitOf(tier, blob.header.key)
        const before = yield* Stream.runCollect(Body.toStream(body, { start: 100, end: 3 * chunk }))
        assert.strictEqual(Buffer.concat(before).length, 3 * chunk - 100)

        let delivered = 0
        const failure = yield* Effect.flip(
          Stream.runForEach(Body.toStream(body), (run) => Effect.sync(() => (delivered += run.byteLength)))
        )
        assert.strictEqual(failure.reason._tag, "Corrupt")
        assert.strictEqual(delivered, 3 * chunk)
        assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Miss")
        assert.strictEqual((yield* tier.stats).quarantined, 1)
        assert.strictEqual((yield* tier.usage).entries, 0)
      })
    )
  }

  it.effect("open - of a cache that has delivered nothing yet is Gone, so that the next tier can be asked", () =>
    Effect.gen(function* () {
      const { root, tier } = yield* fresh({ role: "cache" })
      yield* tier.put(blob)
      flip(onlyFile(root), 5)
      const { body } = yield* hitOf(tier, blob.header.key)
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(Body.toStream(body)))).reason._tag, "Gone")
    })
  )

  it.effect("open - is Gone after a newer put, a removal, or the expiry of the blob", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store", inlineBelow: 100 })
      const old = Fixtures.blob({ size: 1_000 })
      const newer = Fixtures.blob({ size: 1_000, generation: 2 })
      yield* tier.put(old)
      const first = yield* hitOf(tier, old.header.key)
      yield* tier.put(newer)
      assert.strictEqual((yield* Effect.flip(Body.toBytes(first.body))).reason._tag, "Gone")
      const second = yield* hitOf(tier, old.header.key)
      yield* tier.remove(old.header.key, 2)
      assert.strictEqual((yield* Effect.flip(Body.toBytes(second.body))).reason._tag, "Gone")
    })
  )

  it.effect("open - a stream that is under way finishes with its own bytes when the blob is replaced", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store" })
      yield* tier.put(blob)
      const { body } = yield* hitOf(tier, blob.header.key)
      let isReplaced = false
      const runs = yield* Body.toStream(body).pipe(
        Stream.tap(() => {
          if (isReplaced) return Effect.void
          isReplaced = true
          return tier.put(Fixtures.blob({ size, generation: 2 }))
        }),
        Stream.runCollect
      )
      assert.isTrue(Buffer.concat(runs).equals(yield* whole))
    })
  )

  it.live("open - readers of large blobs that a writer replaces get one whole blob, or Gone", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store", durability: "none" })
      const versions = Array.from({ length: 25 }, (_, index) =>
        Fixtures.blob({ generation: index + 1, size: 2 * chunk + 1_000 * index })
      )
      const { key } = (versions[0] ?? assert.fail()).header
      yield* tier.put(versions[0] ?? assert.fail())
      const state = { isWriting: true, whole: 0 }
      const reader = Effect.gen(function* () {
        while (state.isWriting) {
          const { body, header } = yield* hitOf(tier, key)
          const result = yield* Effect.result(Body.toBytes(body))
          if (result._tag === "Success") {
            assert.isTrue(Header.verifies(header, result.success))
            state.whole++
          } else assert.strictEqual(result.failure.reason._tag, "Gone")
        }
      })
      const writer = Effect.forEach(versions.slice(1), (version) => tier.put(version), { discard: true })
      yield* Effect.all(
        [
          Effect.ensuring(
            writer,
            Effect.sync(() => (state.isWriting = false))
          ),
          reader,
          reader,
          reader,
          reader
        ],
        { concurrency: "unbounded" }
      )
      assert.isAbove(state.whole, 0)
    })
  )

  it.live("put and open - 150 MiB pass through with a few chunks of memory", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store", durability: "none" })
      const count = 150
      const piece = Fixtures.bytes(1, chunk)
      const sum = Header.checksumsOf(piece)[0] ?? 0
      const key = Key.makeUnsafe("big", "original")
      const header: Header.Header = {
        ...Blob.make(key, new Uint8Array(), { contentType: "image/png", generation: 1, createdAt: 0 }).header,
        size: count * chunk,
        checksums: Array.from({ length: count }, () => sum),
        digest: digestOf(piece, count)
      }
      const body = Body.streamed(header.size, () => Stream.take(Stream.forever(Stream.succeed(piece)), count))
      globalThis.gc?.()
      const before = process.memoryUsage().arrayBuffers
      let peak = 0
      const measure = Effect.sync(() => {
        peak = Math.max(peak, process.memoryUsage().arrayBuffers)
      })
      assert.strictEqual((yield* tier.put({ header, body }))._tag, "Stored")
      const found = yield* hitOf(tier, key)
      let bytes = 0
      yield* Stream.runForEach(Body.toStream(found.body), (run) => {
        bytes += run.byteLength
        return measure
      })
      assert.strictEqual(bytes, header.size)
      assert.isBelow(peak - before, 64 * chunk)
    })
  )
})

const digestOf = (piece: Uint8Array, count: number): string => {
  const sha = createHash("sha256")
  for (let index = 0; index < count; index++) sha.update(piece)
  return sha.digest("hex")
}

describe("scan", () => {
  it.effect("refuses what is no cursor of it", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store" })
      for (const after of ["", "garbage", "AAAA", Buffer.from("0000a~b").toString("base64url")]) {
        const failure = yield* Effect.flip(Stream.runDrain(tier.scan({ after })))
        assert.strictEqual(failure.reason._tag, "BadCursor")
        assert.include(failure.message, "BadCursor")
      }
    })
  )

  it.effect("resumes after an entry that was removed, and gives the size of the body", () =>
    Effect.gen(function* () {
      const { tier } = yield* fresh({ role: "store" })
      for (let index = 0; index < 30; index++) {
        yield* tier.put(Fixtures.blob({ group: `g${index % 7}`, name: `n${index}`, size: index }))
      }
      const all = yield* Stream.runCollect(tier.scan())
      assert.strictEqual(all.length, 30)
      for (const entry of all) assert.strictEqual(`n${entry.size}`, entry.key.name)
      const middle = all[12] ?? assert.fail()
      yield* tier.remove(middle.key, 1)
      const rest = yield* Stream.runCollect(tier.scan({ after: middle.cursor }))
      assert.deepEqual(rest, all.slice(13))
    })
  )
})

describe("touch", () => {
  it.live("get - of a cache renews the time of the file at most once per `touchEvery`; of a store never", () =>
    Effect.gen(function* () {
      for (const role of ["cache", "store"] as const) {
        const root = yield* directory
        const watch = new Watch()
        const tier = yield* FilesystemTier.make({ root, role, touchEvery: "1 hour" }).pipe(Effect.provide(layer(watch)))
        const blob = Fixtures.blob()
        yield* tier.put(blob)
        utimesSync(onlyFile(root), 1_000, 1_000)
        yield* tier.get(blob.header.key)
        for (let turn = 0; turn < 100 && statSync(onlyFile(root)).mtimeMs === 1_000_000; turn++)
          yield* tier.usage.pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(tier.head(blob.header.key)))
        yield* tier.get(blob.header.key)
        yield* tier.get(blob.header.key)
        assert.strictEqual(watch.calls.filter((call) => call === "utimes blob").length, role === "cache" ? 1 : 0)
        assert.strictEqual(statSync(onlyFile(root)).mtimeMs > 1_000_000, role === "cache")
      }
    })
  )
})

import { assert, layer } from "@effect/vitest"
import * as RedisServer from "@terrace/testkit/RedisServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { eventually } from "./support/eventually.ts"
import { bytesOf, jsonOf, problemOf, put, send, Server } from "./support/Http.ts"
import { png } from "./support/images.ts"
import * as OldRecords from "./support/OldRecords.ts"
import { type Node, withNode } from "./support/RedisNode.ts"
import { spawnServer, startOn } from "./support/TestServer.ts"

const get = (path: string) =>
  Effect.flatMap(send(`/images/${path}`), (response) =>
    Effect.map(bytesOf(response), (bytes) => ({
      status: response.status,
      contentType: response.headers.get("content-type"),
      cacheStatus: response.headers.get("cache-status"),
      bytes
    }))
  )

const statusOf = (path: string) => Effect.map(get(path), ({ status }) => status)

const remove = (id: string) => send(`/images/${id}`, { method: "DELETE" })

const recordOf = ({ redis }: Node, id: string) => Effect.promise(() => redis.get(OldRecords.keyOf(id)))

const expiryOf = ({ redis }: Node, id: string) => Effect.promise(() => redis.pexpiretime(OldRecords.keyOf(id)))

const write = ({ redis }: Node, id: string, text: string, seconds?: number) =>
  Effect.promise(() => OldRecords.write(redis, id, text, seconds))

const isCompacted = (node: Node, id: string) =>
  Effect.map(recordOf(node, id), (text) => text !== null && !text.includes("base64_data"))

/** Calls of commands so far. */
const calls = ({ redis }: Node, ...commands: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const info = await redis.info("commandstats")
    return commands.map((command) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0))
  })

const isWebp = (bytes: Buffer): boolean =>
  bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WEBP"

const image = (width: number, height: number) => Effect.promise(() => png(width, height))

/** Width of an image, from its metadata. */
const widthOf = (id: string) =>
  Effect.flatMap(Effect.flatMap(send(`/images/${id}/metadata`), jsonOf), ({ width }) => Effect.succeed(width))

/**
 * Begins a read of an old record, holds back what Redis answers, and lets `meanwhile` run: the server has not seen yet
 * what Redis has read for it.
 */
const whileReading = <A, E, R>(node: Node, id: string, meanwhile: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const [before = 0] = yield* calls(node, "getrange")
    yield* node.proxy.set({ toClient: { latency: "300 millis" } })
    const reader = yield* Effect.forkChild(get(id))
    yield* eventually(
      "Redis has read the record",
      Effect.map(calls(node, "getrange"), ([now = 0]) => now > before)
    )
    yield* node.proxy.set({ toClient: { blackHole: true } })
    const during = yield* meanwhile
    yield* node.proxy.set({})
    return { during, read: yield* Fiber.join(reader) }
  })

layer(RedisServer.layer(), { excludeTestServices: true, timeout: 120_000 })("old records", (it) => {
  it.effect(
    "two hundred of 2 to 4 MB in all their forms: the first GET serves WebP, the record shrinks and keeps its TTL, the second GET makes no call",
    () =>
      withNode(
        (node) =>
          Effect.gen(function* () {
            const heroes = yield* Effect.promise(OldRecords.heroes)
            const ids = Array.from({ length: 200 }, (_, index) => `hero_recycle_${index}`)
            const expiries = yield* Effect.forEach(ids, (id, index) => {
              const form = OldRecords.forms[index % OldRecords.forms.length]
              const text = OldRecords.record(heroes[index % heroes.length] ?? Buffer.alloc(0), form, { rank: index })
              assert.isTrue(text.length > 2_000_000 && text.length < 6_000_000, `${text.length} bytes`)
              return Effect.andThen(write(node, id, text, 5_000 + index), expiryOf(node, id))
            })

            yield* Effect.forEach(
              ids,
              (id) =>
                Effect.map(get(id), ({ bytes, contentType, status }) => {
                  assert.deepStrictEqual([status, contentType, isWebp(bytes)], [200, "image/webp", true], id)
                }),
              { concurrency: 4, discard: true }
            )

            for (const [index, id] of ids.entries()) {
              yield* eventually(`${id} is compacted`, isCompacted(node, id))
              const text = (yield* recordOf(node, id)) ?? ""
              const kept = { title: "The Bottle Beacon ☕", style: "minimalist", rank: index, cached: true }
              assert.isBelow(Buffer.byteLength(text), 1_000)
              assert.deepInclude(JSON.parse(text), kept)
              assert.strictEqual(yield* expiryOf(node, id), expiries[index], id)
            }
            const asked = yield* calls(node, "getrange", "strlen", "get", "set", "evalsha")
            assert.strictEqual(asked[0], 200)
            for (const id of ids.slice(0, 50)) assert.strictEqual(yield* statusOf(id), 200)
            const again = yield* calls(node, "getrange", "strlen", "get", "set", "evalsha")
            assert.deepStrictEqual(again, asked)
          }),
        // What is under test is not how long an encoder thinks.
        { TERRACE_EFFORT: "0" }
      ),
    300_000
  )

  it.effect("is decoded once for a hundred readers at the same time, whatever of it they ask for", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* write(node, "hero", OldRecords.record(yield* image(900, 700)))
        const paths = Array.from(
          { length: 100 },
          (_, index) => ["hero", "hero?preset=thumb", "hero/metadata"][index % 3]
        )

        const statuses = yield* Effect.forEach(paths, (path) => statusOf(path ?? ""), { concurrency: "unbounded" })

        assert.deepStrictEqual([...new Set(statuses)], [200])
        assert.deepStrictEqual(yield* calls(node, "getrange"), [1])
        yield* eventually("compacted", isCompacted(node, "hero"))
        assert.isTrue(node.server.log.some((line) => /message="cache miss, made" tier=legacy id=hero/.test(line)))
      })
    )
  )

  it.effect("keeps the title and style with the image, and the decoded bytes beside it", () =>
    withNode((node) =>
      Effect.gen(function* () {
        const original = yield* image(60, 40)
        yield* write(node, "hero", OldRecords.record(original, "plain", { approved: true }))
        yield* statusOf("hero")
        yield* eventually("compacted", isCompacted(node, "hero"))

        const metadata = yield* jsonOf(yield* send("/images/hero/metadata"))

        assert.deepStrictEqual(metadata.attributes, {
          title: "The Bottle Beacon ☕",
          style: "minimalist",
          approved: "true"
        })
        assert.deepStrictEqual(metadata.source, { contentType: "image/png", bytes: original.byteLength })
        const { terrace } = JSON.parse((yield* recordOf(node, "hero")) ?? "{}")
        assert.deepStrictEqual([terrace.digest, terrace.width], [metadata.digest, 60])
        const tiers = yield* jsonOf(yield* send("/tiers"))
        const originals = tiers.chains?.find(({ chain }) => chain === "originals")
        assert.strictEqual(originals?.tiers[0]?.counters["stored"], 1)
      })
    )
  )

  it.effect("that was rewritten while it was converted is served in its new content, which is what is compacted", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* write(node, "hero", OldRecords.record(yield* image(60, 40)), 5_000)
        const rewritten = OldRecords.record(yield* image(80, 40), "plain", { title: "New" })

        const { read } = yield* whileReading(node, "hero", write(node, "hero", rewritten, 6_000))
        assert.strictEqual(read.status, 200)
        yield* eventually("compacted", isCompacted(node, "hero"))

        assert.strictEqual(yield* widthOf("hero"), 80)
        const record = JSON.parse((yield* recordOf(node, "hero")) ?? "{}")
        assert.deepStrictEqual([record.title, record.cached, record.terrace.width], ["New", true, 80])
      })
    )
  )

  it.effect("that was deleted while it was converted stays deleted, by whoever it was deleted", () =>
    withNode((node) =>
      Effect.gen(function* () {
        for (const by of ["somebody else", "this server"]) {
          const id = by.replace(" ", "_")
          yield* write(node, id, OldRecords.record(yield* image(60, 40)))
          const deleting =
            by === "this server"
              ? Effect.forkChild(Effect.map(remove(id), ({ status }) => status === 200))
              : Effect.forkChild(Effect.promise(async () => (await node.redis.del(OldRecords.keyOf(id))) === 1))

          const deleted = yield* whileReading(
            node,
            id,
            // The record is gone, or the request for that is on its way, before the server knows what it has read.
            Effect.tap(deleting, (fiber) => (by === "this server" ? Effect.void : Fiber.await(fiber)))
          )
          assert.isTrue(yield* Fiber.join(deleted.during), by)
        }

        // A server that is told to stop ends what goes on behind its answers: nothing comes back after this.
        assert.strictEqual(yield* Effect.promise(() => node.server.end("SIGTERM")), 0)
        yield* Effect.gen(function* () {
          for (const id of ["somebody_else", "this_server"]) {
            assert.strictEqual(yield* statusOf(id), 404, id)
            assert.isNull(yield* recordOf(node, id), id)
          }
          const { images } = yield* jsonOf(yield* send("/images"))
          assert.deepStrictEqual(images, [])
        }).pipe(Effect.provideServiceEffect(Server, startOn(node.server.dataDir, node.environment)))
      })
    )
  )

  it.effect("is not clobbered, and nothing is lost, when the server is killed between storing and compacting", () =>
    withNode((node) =>
      Effect.gen(function* () {
        const text = OldRecords.record(yield* image(60, 40))
        yield* write(node, "hero", text)
        const [before = 0] = yield* calls(node, "getrange")
        const reader = yield* Effect.forkChild(get("hero"))
        yield* eventually(
          "read",
          Effect.map(calls(node, "getrange"), ([now = 0]) => now > before)
        )
        yield* node.proxy.set({ toServer: { blackHole: true } })
        const { bytes, status } = yield* Fiber.join(reader)
        assert.strictEqual(status, 200)
        yield* eventually(
          "stored",
          Effect.map(Effect.flatMap(send("/images"), jsonOf), ({ images }) => images?.length === 1)
        )

        yield* Effect.promise(() => node.server.end("SIGKILL"))

        assert.strictEqual(yield* recordOf(node, "hero"), text)
        yield* node.proxy.set({})
        const restarted = yield* Effect.acquireRelease(
          Effect.promise(() => spawnServer(node.server.dataDir, node.environment)),
          (server) => Effect.promise(() => server.end("SIGKILL"))
        )
        const again = yield* Effect.provideService(get("hero"), Server, restarted)
        assert.strictEqual(again.status, 200)
        assert.isTrue(again.bytes.equals(bytes))
      })
    )
  )

  it.effect("that cannot be used says why in a 500, is left as it is, and can be replaced by an upload", () =>
    withNode((node) =>
      Effect.gen(function* () {
        const broken: Readonly<Record<string, string>> = {
          no_json: "<html>",
          no_object: "[]",
          no_text: `{"base64_data": 7}`,
          no_base64: `{"base64_data": "iVBORw0KGgo*"}`,
          no_image: OldRecords.record(Buffer.from("not an image, but long enough")),
          svg: OldRecords.record(Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg"/>`)),
          cut: OldRecords.record((yield* image(60, 40)).subarray(0, 200))
        }
        for (const [id, text] of Object.entries(broken)) {
          yield* write(node, id, text)
          const response = yield* send(`/images/${id}`)
          assert.strictEqual(yield* problemOf(response), "unusable-record", id)
          assert.strictEqual(response.headers.get("cache-control"), "no-store")
          assert.strictEqual(yield* recordOf(node, id), text)
        }
        yield* Effect.promise(() => node.redis.del(OldRecords.keyOf("list")))
        yield* Effect.promise(() => node.redis.rpush(OldRecords.keyOf("list"), "a"))
        assert.strictEqual(yield* problemOf(yield* send("/images/list")), "unusable-record")

        assert.strictEqual((yield* put("no_json", yield* image(60, 40))).status, 201)
        assert.strictEqual(yield* statusOf("no_json"), 200)
        assert.strictEqual(JSON.parse((yield* recordOf(node, "no_json")) ?? "{}").cached, true)
      })
    )
  )

  it.effect("with metadata only, and no image anywhere, is a 404 whose type says so", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* write(node, "gone", `{"title": "Gone", "cached": true}`)
        for (const path of ["gone", "gone?preset=thumb", "gone/metadata", "gone"]) {
          assert.strictEqual(yield* problemOf(yield* send(`/images/${path}`)), "image-not-stored", path)
        }
        assert.strictEqual(yield* problemOf(yield* send("/images/nobody")), "image-not-found")
      })
    )
  )

  it.effect("is found by conditional writes, and explained", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* write(node, "hero", OldRecords.record(yield* image(60, 40)))
        const explained = yield* jsonOf(yield* send("/explain/images/hero"))
        assert.deepInclude(explained, { answer: "made", from: "legacy" })

        const refused = yield* put("hero", yield* image(80, 40), { "if-none-match": "*" })

        assert.strictEqual(yield* problemOf(refused), "precondition-failed")
        assert.strictEqual(yield* widthOf("hero"), 60)
      })
    )
  )
})

layer(RedisServer.layer(), { excludeTestServices: true, timeout: 120_000 })("the catalog", (it) => {
  it.effect("has a small record of every upload, with a time to live, and never base64", () =>
    withNode(
      (node) =>
        Effect.gen(function* () {
          const body = JSON.stringify({
            base64_data: (yield* image(60, 40)).toString("base64"),
            title: "The Bottle Beacon",
            style: "minimalist"
          })
          const headers = { "content-type": "application/json" }
          const uploaded = yield* jsonOf(yield* send("/images/hero", { method: "PUT", body, headers }))

          const text = (yield* recordOf(node, "hero")) ?? ""

          const record = JSON.parse(text)
          assert.isBelow(text.length, 600)
          assert.deepInclude(record, { title: "The Bottle Beacon", style: "minimalist", cached: true })
          assert.deepInclude(record.terrace, { width: 60, height: 40, digest: uploaded.digest })
          assert.notProperty(record, "base64_data")
          const ttl = yield* Effect.promise(() => node.redis.ttl(OldRecords.keyOf("hero")))
          assert.isTrue(ttl > 3_590 && ttl <= 3_600, `${ttl} s`)
        }),
      { TERRACE_RECORD_TTL: "3600" }
    )
  )

  it.effect("loses the record first when an image is removed, and the receipt says so", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* put("hero", yield* image(60, 40))
        const receipt = yield* jsonOf(yield* remove("hero"))
        assert.deepInclude(receipt, { id: "hero", record: true })
        assert.isNull(yield* recordOf(node, "hero"))
        yield* write(node, "old", OldRecords.record(yield* image(60, 40)))
        assert.deepInclude(yield* jsonOf(yield* remove("old")), { record: true })
        assert.strictEqual(yield* statusOf("old"), 404)
      })
    )
  )

  it.effect("may expire: nothing that is answered changes", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* put("hero", yield* image(60, 40))
        const metadata = yield* jsonOf(yield* send("/images/hero/metadata"))
        yield* Effect.promise(() => node.redis.del(OldRecords.keyOf("hero")))
        assert.deepStrictEqual(yield* jsonOf(yield* send("/images/hero/metadata")), metadata)
        assert.strictEqual(yield* statusOf("hero"), 200)
      })
    )
  )
})

layer(RedisServer.layer(), { excludeTestServices: true, timeout: 120_000 })("Redis that is down", (it) => {
  it.effect(
    "in the middle of everything: images in tiers 200, what only it could answer 503, PUT 200, DELETE 503; then all is mended",
    () =>
      withNode((node) =>
        Effect.gen(function* () {
          const hero = yield* image(60, 40)
          yield* put("kept", hero)
          yield* write(node, "old", OldRecords.record(hero))

          yield* node.proxy.down

          assert.strictEqual(yield* statusOf("kept"), 200)
          assert.strictEqual(yield* statusOf("kept?preset=thumb"), 200)
          for (const path of ["old", "nobody", "old?preset=thumb", "old/metadata"]) {
            assert.strictEqual(yield* problemOf(yield* send(`/images/${path}`)), "unavailable", path)
          }
          assert.strictEqual((yield* put("new", hero)).status, 201)
          assert.strictEqual(yield* statusOf("new"), 200)
          assert.strictEqual(yield* problemOf(yield* remove("kept")), "unavailable")
          assert.strictEqual(yield* statusOf("kept"), 200)

          yield* node.proxy.set({})

          yield* eventually(
            "the old image is answered",
            Effect.map(statusOf("old"), (status) => status === 200)
          )
          yield* eventually(
            "the record is written",
            Effect.map(recordOf(node, "new"), (text) => text !== null)
          )
          yield* eventually(
            "the image is removed",
            Effect.map(remove("kept"), ({ status }) => status === 200)
          )
        })
      )
  )

  it.effect("when the server starts: it starts, says so in its log, and works without", () =>
    withNode((node) =>
      Effect.gen(function* () {
        yield* put("kept", yield* image(60, 40))
        yield* Effect.promise(() => node.server.end("SIGTERM"))
        yield* node.proxy.down
        const restarted = yield* Effect.acquireRelease(
          Effect.promise(() => spawnServer(node.server.dataDir, node.environment)),
          (server) => Effect.promise(() => server.end("SIGKILL"))
        )
        const statuses = yield* Effect.provideService(
          Effect.all([statusOf("kept"), statusOf("nobody")]),
          Server,
          restarted
        )

        assert.deepStrictEqual(statuses, [200, 503])
        assert.isTrue(restarted.log.some((line) => /redis at .* does not answer/.test(line)))
      })
    )
  )

  it.effect("that sends an old record slowly sends what others wait for all the same", () =>
    withNode((node) =>
      Effect.gen(function* () {
        const [hero = Buffer.alloc(0)] = yield* Effect.promise(OldRecords.heroes)
        yield* write(node, "old", OldRecords.record(hero))
        yield* put("kept", yield* image(60, 40))
        // Ten seconds for the record, were it waited for so long.
        yield* node.proxy.set({ toClient: { bytesPerSecond: Math.ceil(hero.byteLength / 7) } })
        const reader = yield* Effect.forkChild(get("old"))
        yield* eventually(
          "Redis has read the record",
          Effect.map(calls(node, "getrange"), ([now = 0]) => now > 0)
        )

        // A removal that Redis does not confirm within five seconds is refused.
        assert.strictEqual((yield* remove("kept")).status, 200)
        assert.isUndefined(reader.pollUnsafe())
        yield* Fiber.interrupt(reader)
      })
    )
  )

  it.effect("hung holds up neither images in tiers nor uploads, and its answers are bounded in time", () =>
    withNode((node) =>
      Effect.gen(function* () {
        const hero = yield* image(60, 40)
        yield* put("kept", hero)
        yield* node.proxy.set({ blackHole: true })

        assert.strictEqual(yield* statusOf("kept"), 200)
        assert.strictEqual((yield* put("new", hero)).status, 201)
        assert.strictEqual(yield* problemOf(yield* send("/images/nobody")), "unavailable")
        assert.strictEqual(yield* problemOf(yield* remove("kept")), "unavailable")
      })
    )
  )
})

/** What the README shows. */
import { PutBucketLifecycleConfigurationCommand, PutBucketPolicyCommand } from "@aws-sdk/client-s3"
import { assert } from "@effect/vitest"
import * as Body from "@terrace/core/Body"
import * as Fixtures from "@terrace/testkit/Fixtures"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type * as S3Tier from "../../src/S3Tier.ts"
import { credentialsOf, fixture, optionsOn } from "../support/Servers.ts"
import type { It } from "../support/Suite.ts"

const text = readFileSync(new URL("../../README.md", import.meta.url), "utf8")

const blocks = (language: string): ReadonlyArray<string> =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(([, code = ""]) => code)

interface Example {
  readonly program: (options: S3Tier.Options) => Effect.Effect<unknown, unknown>
}

const isExample = (module: unknown): module is Example => Predicate.hasProperty(module, "program")

const isAnswer = (answer: unknown): answer is { readonly tag: string; readonly url: string } =>
  Predicate.hasProperty(answer, "tag") && Predicate.hasProperty(answer, "url")

export const readme = (it: It): void => {
  it.effect("its example runs, and its URL works", () =>
    Effect.gen(function* () {
      const { bucket, server } = yield* fixture
      const [code = ""] = blocks("ts")
      const file = fileURLToPath(new URL(`../readme-example-${process.pid}.ts`, import.meta.url))
      yield* Effect.acquireRelease(
        Effect.sync(() => writeFileSync(file, code)),
        () => Effect.sync(() => rmSync(file))
      )
      const example: unknown = yield* Effect.promise(() => import(file))
      if (!isExample(example)) assert.fail("the example exports no program")

      const answer = yield* example.program({ ...optionsOn(server), bucket })

      if (!isAnswer(answer)) assert.fail("the example answers something else")
      assert.strictEqual(answer.tag, "Hit")
      const response = yield* Effect.promise(() => fetch(answer.url))
      assert.strictEqual(yield* Effect.promise(() => response.text()), "the bytes of an image")
    })
  )

  it.effect("its permissions are enough for all that the tier does", () =>
    Effect.gen(function* () {
      const { bucket, client, open, server } = yield* fixture
      const [json = ""] = blocks("json")
      // A policy of the bucket says to whom it applies; one of a user does not.
      const Policy = json
        .replaceAll("my-images", bucket)
        .replaceAll('"Effect": "Allow",', '"Effect": "Allow", "Principal": { "AWS": ["arn:aws:iam:::user/stranger"] },')
      yield* Effect.promise(() => client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy })))

      const tier = yield* open({ credentials: credentialsOf(server.stranger), prefix: "images/", multipartFrom: 1 })

      const blob = Fixtures.blob({ size: 2_000_000 })
      const bytes = yield* Body.toBytes(blob.body)
      const failing = Body.streamed(2_000_000, () => Stream.succeed(bytes.with(0, (bytes[0] ?? 0) ^ 1)))
      yield* Effect.flip(tier.put({ header: blob.header, body: failing }))
      assert.strictEqual((yield* tier.stats).leftUploads, 0)
      for (const body of [Body.streamed(2_000_000, () => Stream.succeed(bytes)), blob.body]) {
        assert.deepStrictEqual(yield* tier.put({ header: blob.header, body }), { _tag: "Stored" })
        assert.strictEqual((yield* tier.get(blob.header.key))._tag, "Hit")
        assert.strictEqual((yield* tier.head(blob.header.key))._tag, "Hit")
        assert.strictEqual((yield* tier.get(Fixtures.blob({ group: "absent" }).header.key))._tag, "Miss")
        assert.lengthOf(yield* Stream.runCollect(tier.scan()), 1)
        assert.deepInclude(yield* tier.removeGroup("fixture", 1), { removed: 1 })
      }
    })
  )

  it.effect("its lifecycle rule is one that a server takes", () =>
    Effect.gen(function* () {
      const { bucket, client } = yield* fixture
      const [, json = ""] = blocks("json")
      const LifecycleConfiguration = JSON.parse(json)

      const command = new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration })
      const { $metadata } = yield* Effect.promise(() => client.send(command))

      assert.strictEqual($metadata.httpStatusCode, 200)
    })
  )

  it.effect("it names every option", () =>
    Effect.sync(() => {
      const options = readFileSync(new URL("../../src/Options.ts", import.meta.url), "utf8")
      const names = [...(options.split("export interface Options")[1] ?? "").matchAll(/readonly (\w+)\??:/g)].map(
        ([, name]) => name
      )
      assert.isAbove(names.length, 15)
      for (const name of names) assert.include(text, `\`${name}\``)
    })
  )
}

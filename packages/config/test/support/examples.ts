/** The examples that are shipped. */
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"

export const examples = [
  "embedded.yaml",
  "single-node-redis.yaml",
  "memory-disk-s3-redis.yaml",
  "stateless-nodes.yaml"
] as const

export const textOf = (name: string) =>
  Effect.promise(() => readFile(new URL(`../../examples/${name}`, import.meta.url), "utf8"))

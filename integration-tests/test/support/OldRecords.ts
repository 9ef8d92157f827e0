/**
 * Records as the first servers wrote them: Python's `json.dumps` around what `base64` made of an image.
 */
import type { Redis } from "ioredis"
import { png } from "./images.ts"

/** How an image was written down. */
export const forms = ["plain", "data URI", "line breaks", "URL-safe", "unpadded"] as const
export type Form = (typeof forms)[number]

const base64Of = (image: Buffer, form: Form): string => {
  const plain = image.toString("base64")
  switch (form) {
    case "plain":
      return plain
    case "data URI":
      return `data:image/png;base64,${plain}`
    case "line breaks":
      // `base64.encodebytes`
      return plain.replace(/.{1,76}/g, "$&\n")
    case "URL-safe":
      return plain.replaceAll("+", "-").replaceAll("/", "_")
    case "unpadded":
      return plain.replace(/=+$/, "")
  }
}

/** Characters outside ASCII as `json.dumps` escapes them, after a comma and a blank. */
const dumps = (fields: Readonly<Record<string, unknown>>): string =>
  `{${Object.entries(fields)
    .map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)
    .join(", ")}}`.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

export const keyOf = (id: string): string => `image:${id}`

export const record = (image: Buffer, form: Form = "plain", fields: Readonly<Record<string, unknown>> = {}): string =>
  dumps({ title: "The Bottle Beacon ☕", style: "minimalist", ...fields, base64_data: base64Of(image, form) })

/** Writes a record with a time to live in seconds. */
export const write = (redis: Redis, id: string, text: string, seconds = 7_200): Promise<unknown> =>
  redis.set(keyOf(id), text, "EX", seconds)

/** Pictures whose PNG takes 2 to 4 MB. */
export const heroes = (): Promise<ReadonlyArray<Buffer>> =>
  Promise.all([1, 2, 3, 4].map((seed) => png(1_000 + seed * 100, 1_000, seed)))

/** Base64 and JSON as the Python that wrote the old records wrote them, byte for byte. */
import type { Facts } from "@terrace/legacy-base64/Metadata"

/** `base64.b64encode` */
export const b64encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

/** `base64.encodebytes`: lines of 76 characters, each with a line feed behind it. */
export const encodebytes = (bytes: Uint8Array): string => b64encode(bytes).replace(/.{1,76}/g, "$&\n")

/** `base64.urlsafe_b64encode`, which pads. */
export const urlsafe = (bytes: Uint8Array): string => b64encode(bytes).replaceAll("+", "-").replaceAll("/", "_")

export type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [name: string]: Json }

/**
 * `json.dumps`: `", "` and `": "` between things, and everything outside of ASCII escaped, unless `ensure_ascii=False`.
 */
export const dumps = (value: Json, ensureAscii = true): string => {
  if (Array.isArray(value)) return `[${value.map((item: Json) => dumps(item, ensureAscii)).join(", ")}]`
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(
      ([name, item]) => `${dumps(name, ensureAscii)}: ${dumps(item, ensureAscii)}`
    )
    return `{${members.join(", ")}}`
  }
  const text = JSON.stringify(value)
  return ensureAscii ? text.replaceAll(/[\u007f-\uffff]/g, escaped) : text
}

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Facts of some stored image. */
export const facts: Facts = {
  width: 1_536,
  height: 1_024,
  bytes: 417_312,
  digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  contentType: "image/webp"
}

import { assert, describe, it } from "@effect/vitest"
import { gzipSync } from "node:zlib"
import * as Format from "../src/Format.ts"
import { flat, isoMedia, pdf, svg } from "./fixtures.ts"

const text = (value: string) => Buffer.from(value, "latin1")

describe("Format.detect", () => {
  it.each(["jpeg", "png", "webp", "gif", "avif", "tiff"] as const)("tells %s that sharp wrote", async (format) => {
    const bytes = await flat(8, 8).toFormat(format).toBuffer()
    assert.strictEqual(Format.detect(bytes), format)
    assert.strictEqual(Format.isFormat(Format.detect(bytes)), format !== "tiff")
  })

  it.each([
    ["avif", isoMedia("avif", "mif1", "miaf")],
    ["avif", isoMedia("mif1", "miaf", "avif")],
    ["avif-sequence", isoMedia("avis", "avif", "mif1")],
    ["heic", isoMedia("heic", "mif1")],
    ["heic", isoMedia("mif1", "heic")],
    ["heic", isoMedia("hevc", "msf1")],
    ["heif", isoMedia("mif1", "miaf")],
    ["mp4", isoMedia("isom", "mp41")]
  ])("tells %s by its brands", (expected, bytes) => {
    assert.strictEqual(Format.detect(bytes), expected)
  })

  it.each([
    ["svg", text(svg)],
    ["svg", text(`\xef\xbb\xbf  <?xml version="1.0"?>\n<!-- a comment -->\n<!DOCTYPE svg>\n${svg}`)],
    ["svg", text(`<s:svg xmlns:s="http://www.w3.org/2000/svg"/>`)],
    ["svg", Buffer.from(`\ufeff${svg}`, "utf16le")],
    ["svg", gzipSync(svg)],
    ["gzip", gzipSync("anything")],
    ["gzip", text("\x1f\x8bnot really")],
    ["xml", text(`<?xml version="1.0"?><a/>`)],
    ["html", text("<!DOCTYPE html><title>x</title>")],
    ["pdf", text(pdf)],
    ["postscript", text("%!PS-Adobe-3.0")],
    ["bmp", text("BM\x00\x00")],
    ["zip", text("PK\x03\x04")]
  ])("tells %s so that a refusal can name it", (expected, bytes) => {
    assert.strictEqual(Format.detect(bytes), expected)
    assert.isFalse(Format.isFormat(Format.detect(bytes)))
  })

  it.each([
    ["no bytes", ""],
    ["one byte", "\xff"],
    ["a cut signature", "\x89PNG"],
    ["RIFF that is not WebP", "RIFF\x10\0\0\0WAVEfmt "],
    ["plain text", "hello <svg>"]
  ])("says nothing of %s", (_, bytes) => {
    assert.isUndefined(Format.detect(text(bytes)))
  })

  it("inflates no more of a gzip bomb than its first 4 KiB", () => {
    assert.strictEqual(Format.detect(gzipSync(new Uint8Array(50_000_000))), "gzip")
  })

  it("reads bytes in the middle of a larger buffer", () => {
    const bytes = isoMedia("avif", "mif1")
    const larger = Buffer.concat([new Uint8Array(7), bytes, new Uint8Array(7)])
    assert.strictEqual(Format.detect(larger.subarray(7, 7 + bytes.byteLength)), "avif")
  })
})

/** Images made on the spot. Hand-built bytes where sharp would refuse to write what a test needs. */
import sharp, { type Sharp } from "sharp"
import { crc32, deflateSync } from "node:zlib"

export interface Rgb {
  readonly r: number
  readonly g: number
  readonly b: number
}

export const red: Rgb = { r: 200, g: 50, b: 50 }

/** One colour. */
export const flat = (width: number, height: number, background: Rgb | "red" = red): Sharp =>
  sharp({ create: { width, height, channels: 3, background } })

/** Noise, so that no encoder makes it small and a cut falls into pixels. */
export const noise = (width: number, height: number): Sharp =>
  sharp({
    create: { width, height, channels: 3, background: "gray", noise: { type: "gaussian", mean: 128, sigma: 40 } }
  })

/** Raw RGB pixels by position. */
export const drawn = (width: number, height: number, colour: (x: number, y: number) => Rgb): Sharp => {
  const pixels = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const { r, g, b } = colour(x, y)
      pixels.set([r, g, b], (y * width + x) * 3)
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
}

/** Frames of one colour each, joined into an animation that sharp can write as GIF or WebP. */
export const animation = (width: number, height: number, colours: ReadonlyArray<Rgb>): Sharp => {
  const pixels = Buffer.concat(colours.map(({ r, g, b }) => Buffer.alloc(width * height * 3, Buffer.from([r, g, b]))))
  return sharp(pixels, { raw: { width, height: height * colours.length, channels: 3, pageHeight: height } })
}

/** The decoded pixel at (`x`, `y`) of the first frame; `a` is 255 without an alpha channel. */
export const pixelAt = async (bytes: Uint8Array, x: number, y: number): Promise<Rgb & { readonly a: number }> => {
  const { data, info } = await sharp(bytes).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const at = (y * info.width + x) * info.channels
  const channel = (offset: number) => data[at + offset] ?? Number.NaN
  return { r: channel(0), g: channel(1), b: channel(2), a: channel(3) }
}

const pngChunk = (type: string, data: Uint8Array): Uint8Array => {
  const chunk = Buffer.alloc(12 + data.byteLength)
  chunk.writeUInt32BE(data.byteLength, 0)
  chunk.write(type, 4, "latin1")
  chunk.set(data, 8)
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.byteLength)), 8 + data.byteLength)
  return chunk
}

/** A 1-bit grey PNG of `width` × `height`, all black: 8 pixels a byte before compression. */
export const blackPng = (
  width: number,
  height: number,
  options: { readonly withPixels: boolean; readonly extra?: ReadonlyArray<readonly [string, Uint8Array]> }
): Uint8Array => {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = 1
  const rows = options.withPixels ? new Uint8Array((Math.ceil(width / 8) + 1) * height) : new Uint8Array(1)
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    pngChunk("IHDR", header),
    ...(options.extra ?? []).map(([type, data]) => pngChunk(type, data)),
    pngChunk("IDAT", deflateSync(rows, { level: 9 })),
    pngChunk("IEND", new Uint8Array(0))
  ])
}

/** `count` zTXt chunks of some 40 KB that inflate to 40 MB each. */
export const textBombs = (count: number): ReadonlyArray<readonly [string, Uint8Array]> => {
  const deflated = deflateSync(new Uint8Array(40_000_000))
  return Array.from({ length: count }, (_, index) => [
    "zTXt",
    Buffer.concat([Buffer.from(`key${index}\0\0`, "latin1"), deflated])
  ])
}

/** A GIF whose frames cover the canvas but hold one pixel of data each: 15 bytes a frame. */
export const hollowGif = (width: number, height: number, frames: number): Uint8Array => {
  const size = [width & 255, width >> 8, height & 255, height >> 8]
  const head = [...Buffer.from("GIF89a"), ...size, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]
  const frame = [0x2c, 0, 0, 0, 0, ...size, 0, 2, 2, 0x44, 1, 0]
  return Buffer.concat([
    Buffer.from(head),
    ...Array.from({ length: frames }, () => Buffer.from(frame)),
    Buffer.from([0x3b])
  ])
}

/** An ISO media file that begins with these brands, the major one first, and nothing after. */
export const isoMedia = (...brands: ReadonlyArray<string>): Uint8Array => {
  const [major = "", ...compatible] = brands
  const box = Buffer.from(`\0\0\0\0ftyp${major}\0\0\0\0${compatible.join("")}`, "latin1")
  box.writeUInt32BE(box.byteLength, 0)
  return box
}

export const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>`

export const pdf = "%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"

const box = (type: string, ...parts: ReadonlyArray<Uint8Array | ReadonlyArray<number>>): Uint8Array => {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)))
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.byteLength, 0)
  head.write(type, 4, "latin1")
  return Buffer.concat([head, body])
}

/** A still of 64 × 64 whose brand says AVIF and whose one item is HEVC (ISO 23008-12): a header without a picture. */
export const hevcCalledAvif = (): Uint8Array => {
  const full = [0, 0, 0, 0]
  const four = (text: string) => Buffer.from(text, "latin1")
  const hevcConfiguration = [
    1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 30, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0
  ]
  const ftyp = isoMedia("avif", "mif1", "miaf")
  const meta = (offset: number) =>
    box(
      "meta",
      full,
      box("hdlr", full, full, four("pict"), Array<number>(13).fill(0)),
      box("pitm", full, [0, 1]),
      box("iinf", full, [0, 1], box("infe", [2, 0, 0, 0], [0, 1, 0, 0], four("hvc1"), [0])),
      box(
        "iprp",
        box("ipco", box("hvcC", hevcConfiguration), box("ispe", full, [0, 0, 0, 64, 0, 0, 0, 64])),
        box("ipma", full, [0, 0, 0, 1, 0, 1, 2, 0x81, 2])
      ),
      box("iloc", full, [0x44, 0, 0, 1, 0, 1, 0, 0, 0, 1], [0, 0, offset >> 8, offset & 255], [0, 0, 0, 4])
    )
  const data = ftyp.byteLength + meta(0).byteLength + 8
  return Buffer.concat([ftyp, meta(data), box("mdat", [0, 0, 0, 0])])
}

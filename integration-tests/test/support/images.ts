/**
 * Pictures for tests, made by arithmetic: the same bytes at every run.
 */
import sharp from "sharp"

/** A picture with slopes, edges and grain, so that encoders have work: about 2.4 bytes a pixel as PNG. */
export const picture = (width: number, height: number, seed = 1): Buffer => {
  const pixels = Buffer.alloc(width * height * 3)
  let noise = seed
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      noise = (Math.imul(noise, 1_103_515_245) + 12_345) >>> 0
      const grain = (noise >>> 16) % 24
      const edge = (x >> 5) % 2 === (y >> 6) % 2 ? 40 : 0
      const at = (y * width + x) * 3
      pixels[at] = (x * 180) / width + grain + edge
      pixels[at + 1] = (y * 180) / height + grain
      pixels[at + 2] = 120 + 60 * Math.sin((x + y) / 40) + grain
    }
  }
  return pixels
}

export const png = (width: number, height: number, seed = 1): Promise<Buffer> =>
  sharp(picture(width, height, seed), { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()

export const jpeg = (width: number, height: number, seed = 1): Promise<Buffer> =>
  sharp(picture(width, height, seed), { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer()

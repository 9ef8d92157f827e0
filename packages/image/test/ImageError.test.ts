import { assert, describe, it } from "@effect/vitest"
import * as ImageError from "../src/ImageError.ts"
import { describeFailure } from "../src/internal/engine.ts"

const size = { width: 300, height: 200, limit: 1_000 }

describe("ImageError", () => {
  it.each<readonly [string, ImageError.Reason]>([
    [
      "the bytes are svg: expected one of jpeg, png",
      new ImageError.UnsupportedType({ detected: "svg", allowed: ["jpeg", "png"] })
    ],
    [
      "the type of the bytes is not known: expected one of jpeg",
      new ImageError.UnsupportedType({ detected: "unknown", allowed: ["jpeg"] })
    ],
    ["the image cannot be decoded: cut off", new ImageError.Undecodable({ detail: "cut off" })],
    [
      "the image is 300×200: expected at most 1000 pixels in all",
      new ImageError.TooManyPixels({ ...size, side: "input", exceeded: "pixels", frames: 1 })
    ],
    [
      "the image is 300×200 in 7 frames: expected at most 1000 frames",
      new ImageError.TooManyPixels({ ...size, side: "input", exceeded: "frames", frames: 7 })
    ],
    [
      "the requested image is 300×200: expected at most 1000 pixels a side",
      new ImageError.TooManyPixels({ ...size, side: "output", exceeded: "dimension", frames: 1 })
    ],
    ["the preset is not valid: no", new ImageError.InvalidPreset({ detail: "no" })],
    [
      "the image took longer than 10 ms to process: expected one that needs less work",
      new ImageError.TimedOut({ millis: 10 })
    ],
    ["too many images are being processed (64 waiting): try again later", new ImageError.Busy({ queued: 64 })]
  ])("says: %s", (message, reason) => {
    const error = ImageError.of(reason)
    assert.strictEqual(error.message, message)
    assert.strictEqual(error.isRetryable, reason._tag === "Busy")
  })
})

describe("describeFailure", () => {
  it.each([
    ["premature end of JPEG image", "VipsJpeg: premature end of JPEG image"],
    ["unable to parse image", "Input buffer has corrupt header: webp: unable to parse image"],
    ["no frames in GIF", "Input buffer has corrupt header: \ngifload_buffer: no frames in GIF"],
    ["Invalid input", "source: bad seek to 512\nsource: bad seek to 384\nheif: Invalid input\n (2.100)"],
    ["its data is damaged or incomplete", "Unknown error"],
    ["its data is damaged or incomplete", ""],
    ["cannot open … at …", "cannot open /usr/lib/x86/libvips.so at 0x7ffe12345678"],
    ["cannot open …", "cannot open C:\\Users\\someone\\x.png"],
    ["a  b", "a\u0007\u001bb"]
  ])("says %o", (expected, text) => {
    assert.strictEqual(describeFailure(text), expected)
  })

  it("is at most 160 characters", () => {
    assert.strictEqual(describeFailure("x".repeat(500)).length, 160)
  })
})

/**
 * Ways in which bytes are not those of their header.
 */
export const mismatches: ReadonlyArray<readonly [label: string, bytes: (right: Uint8Array) => Uint8Array]> = [
  ["one bit is wrong", (right) => right.map((byte, index) => (index === 1_000 ? byte ^ 1 : byte))],
  ["the last byte is missing", (right) => right.slice(0, -1)],
  ["one byte follows", (right) => Buffer.concat([right, Buffer.of(0)])],
  ["there are none", () => new Uint8Array(0)]
]

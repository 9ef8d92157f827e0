/** Counts the digits of a base64 text: at a glance where it is written regularly, else one by one. */

/** A text that holds digits, blanks, and padding at its end. */
export interface Count {
  readonly _tag: "Count"
  readonly digits: number
  /** Number of `=`. */
  readonly padding: number
  /** Position behind the last digit. */
  readonly end: number
}

/** The first character that is none of these, or a digit behind the padding. */
export interface Foreign {
  readonly _tag: "Foreign"
  readonly problem: "foreign-character" | "after-padding"
  readonly position: number
}

/** Bytes that so many digits stand for. */
export const lengthOf = (digits: number): number => Math.floor((digits * 3) / 4)

/** The bits of a digit, 0 to 63; something above for any other character. */
export const bitsOf = (code: number): number => (code < 128 ? (table[code] ?? other) : other)

const blank = 64
const equals = 65
const other = 66

const table: Uint8Array = (() => {
  const bits = new Uint8Array(128).fill(other)
  for (const alphabet of ["+/", "-_"]) {
    const digits = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${alphabet}`
    for (let value = 0; value < 64; value++) bits[digits.charCodeAt(value)] = value
  }
  for (const character of "\t\n\r ") bits[character.charCodeAt(0)] = blank
  bits["=".charCodeAt(0)] = equals
  return bits
})()

/** Longer lines are not looked for; MIME has 76 characters, PEM 64. */
const longestLine = 128
/** What may stand between two lines: a line break, and what folding puts behind it. */
const longestBreak = 4

/**
 * What the text holds from `start` on if all of it but its line breaks is digits, which is for the caller to find out.
 * Undefined if the lines are not all alike.
 */
export const countRegular = (text: string, start: number): Count | undefined => {
  let first = start
  while (bitsOf(text.charCodeAt(first)) === blank) first++
  let end = text.length
  while (end > first && bitsOf(text.charCodeAt(end - 1)) === blank) end--
  const padded = end
  while (end > first && bitsOf(text.charCodeAt(end - 1)) === equals) end--
  if (bitsOf(text.charCodeAt(end - 1)) === blank) return undefined
  const breaks = breaksOf(text, first, end)
  return breaks === undefined ? undefined : { _tag: "Count", digits: end - first - breaks, padding: padded - end, end }
}

/** Characters of the line breaks, if all are the same and all lines but the last as long as the first. */
const breaksOf = (text: string, start: number, end: number): number | undefined => {
  const head = text.slice(start, Math.min(end, start + longestLine + longestBreak))
  const [between] = /[\t\n\r ]+/.exec(head) ?? []
  if (between === undefined) return 0
  const width = head.indexOf(between)
  const step = width + between.length
  const first = between.charCodeAt(0)
  let count = 0
  for (let at = start + width; at < end; at += step, count++) {
    if (text.charCodeAt(at) !== first) return undefined
  }
  for (let index = 1; index < between.length; index++) {
    const code = between.charCodeAt(index)
    for (let at = start + width + index; at < end; at += step) {
      if (text.charCodeAt(at) !== code) return undefined
    }
  }
  return count * between.length
}

/** Looks at every character from `start` on. */
export const countDigits = (text: string, start: number): Count | Foreign => {
  let digits = 0
  let padding = 0
  let end = start
  for (let position = start; position < text.length; position++) {
    const bits = bitsOf(text.charCodeAt(position))
    if (bits < blank) {
      if (padding > 0) return { _tag: "Foreign", problem: "after-padding", position }
      digits++
      end = position + 1
    } else if (bits === equals) padding++
    else if (bits === other) return { _tag: "Foreign", problem: "foreign-character", position }
  }
  return { _tag: "Count", digits, padding, end }
}

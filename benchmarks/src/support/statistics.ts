/**
 * Figures of several rounds, as text.
 */

/** The middle value; of an even number of values, the upper of the two in the middle. */
export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Three significant digits; whole from a hundred on. */
export const short = (value: number): string => (value >= 99.95 ? value.toFixed(0) : value.toPrecision(3))

/** Median and, in brackets, the smallest and the largest value. */
export const spread = (values: ReadonlyArray<number>): string =>
  `${short(median(values))} (${short(Math.min(...values))}–${short(Math.max(...values))})`

/** The smallest value that this share of the values does not exceed (nearest rank). */
export const quantile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN

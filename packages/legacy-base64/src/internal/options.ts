/** The value, if it is a whole number in the range; else throws a `RangeError` that names the option and an example. */
export const between = (option: string, value: number, minimum: number, maximum: number, example: number): number => {
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value
  throw new RangeError(
    `${option} is ${value}: expected an integer from ${minimum} to ${maximum}, for example ${example}`
  )
}

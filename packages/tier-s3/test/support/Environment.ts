/**
 * Variables of the environment, in which the SDK looks for credentials.
 */
import * as Effect from "effect/Effect"

/** Sets variables, or unsets them, until the scope closes. */
export const withEnvironment = (variables: Readonly<Record<string, string | undefined>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]))
      assign(variables)
      return before
    }),
    (before) => Effect.sync(() => assign(before))
  )

const assign = (variables: Readonly<Record<string, string | undefined>>): void => {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

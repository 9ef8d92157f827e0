/** Decodes the text of a file, or the environment alone. */
import { assert } from "@effect/vitest"
import * as Result from "effect/Result"
import type { Deployment } from "../../src/Deployment.ts"
import * as Load from "../../src/Load.ts"

const decode = (text: string | undefined, environment: Load.Environment, name = "terrace.yaml") =>
  Load.decode(text === undefined ? undefined : { name, text }, environment)

export const deploymentOf = (
  text: string | undefined,
  environment: Load.Environment = {},
  name?: string
): Deployment => {
  const result = decode(text, environment, name)
  return Result.isSuccess(result) ? result.success.deployment : assert.fail(result.failure.message)
}

/** What is wrong; nothing if it can be used. */
export const problemsOf = (
  text: string | undefined,
  environment: Load.Environment = {},
  name?: string
): ReadonlyArray<string> => {
  const result = decode(text, environment, name)
  return Result.isSuccess(result) ? [] : result.failure.problems
}

/**
 * Reads a deployment: from its file, with what environment variables put into it and over it.
 *
 * parse → put variables in → override → decode → check. Each step goes on with what it can, so that everything that is wrong
 * is told at once.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Deployment from "./Deployment.ts"
import { InvalidConfig } from "./InvalidConfig.ts"
import * as Checks from "./internal/checks.ts"
import * as Issues from "./internal/issues.ts"
import * as Problem from "./internal/Problem.ts"
import * as Source from "./internal/Source.ts"
import { type Environment, substitute } from "./internal/Substitution.ts"
import * as Tree from "./internal/Tree.ts"
import * as Settings from "./Settings.ts"

export type { Environment } from "./internal/Substitution.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export interface Options {
  /** The file. Default: `terrace.yaml`, `terrace.yml` or `terrace.json` of the working directory, if there is one. */
  readonly file?: string | undefined
  /** Variables that override the file, and that it may name. */
  readonly environment: Environment
}

export interface Loaded {
  readonly deployment: Deployment.Deployment
  /** The file that was read. */
  readonly file: string | undefined
  /** Names of the variables that the file uses. */
  readonly variables: ReadonlySet<string>
}

/** A file that was read. */
export interface Text {
  /** Its name, which messages begin with; the ending says whether it is YAML or JSON. */
  readonly name: string
  readonly text: string
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** Reads the file, if there is one, and decodes it. */
export const load = ({ environment, file }: Options): Effect.Effect<Loaded, InvalidConfig, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const name = file === undefined ? yield* found : yield* readable(file)
    const source = name === undefined ? undefined : { name, text: yield* read(name) }
    return yield* Effect.fromResult(decode(source, environment))
  })

/** A deployment from the text of a file, or from the environment alone. */
export const decode = (source: Text | undefined, environment: Environment): Result.Result<Loaded, InvalidConfig> => {
  const parsed = source === undefined ? Result.succeed({}) : Source.parse(source.name, source.text)
  const file = source?.name
  if (Result.isFailure(parsed)) return refuse(file, [{ ...parsed.failure, path: [] }])
  const substituted = substitute(parsed.success, environment)
  if (substituted.tree === undefined) return refuse(file, substituted.problems)
  const { problems, tree, variables } = Settings.override(substituted.tree, environment, file)
  const isReplaced = isSet({ variables })
  const origins: Problem.Origins = {
    file,
    variables,
    substituted: substituted.values.filter(({ path }) => !isReplaced(path))
  }

  // What the environment says in its place is not missed.
  const wrong = substituted.problems.filter(({ path }) => !isReplaced(path))
  const decoded = decodeDeployment(tree)
  if (Result.isFailure(decoded)) {
    const isNew = ({ path }: Problem.Problem) => !wrong.some((other) => Tree.isWithin(path, other.path))
    wrong.push(...Issues.problemsOf(decoded.failure.issue, tree, origins).filter(isNew))
  }
  // A key that is not there is wrong in a section that others may look into all the same.
  const isWrong = (path: Tree.Path) => wrong.some((problem) => Tree.isWithin(path, problem.path))
  const shown = (path: Tree.Path) => Problem.foundAt(tree, path, false, origins)
  wrong.push(...Checks.check(tree, { isWrong, shown }))

  const lines = new Set([...problems, ...wrong.map((problem) => wordsOf(problem, tree, origins))])
  return lines.size > 0 || Result.isFailure(decoded)
    ? Result.fail(new InvalidConfig({ problems: Array.from(lines) }))
    : Result.succeed({ deployment: decoded.success, file, variables: substituted.names })
}

/** Nothing can be said of what the file says. */
const refuse = (file: string | undefined, problems: ReadonlyArray<Problem.Problem>) =>
  Result.fail(
    new InvalidConfig({
      problems: problems.map((problem) => Problem.format(problem, { file, variables: [], substituted: [] }))
    })
  )

const decodeDeployment = Schema.decodeUnknownResult(Deployment.Deployment, {
  errors: "all",
  onExcessProperty: "error"
})

/** Where there is no file, the environment is all that people know of. */
const wordsOf = (problem: Problem.Problem, tree: unknown, origins: Problem.Origins): string =>
  origins.file === undefined && Tree.format(problem.path) === "server.token" && !isSet(origins)(problem.path)
    ? `TERRACE_TOKEN is not set, but TERRACE_HOST is ${JSON.stringify(Tree.textAt(tree, ["server", "host"]))}: expected ${Checks.tokenOrLoopback}, for example TERRACE_HOST=127.0.0.1`
    : Problem.format(problem, origins)

const isSet =
  ({ variables }: Pick<Problem.Origins, "variables">) =>
  (path: Tree.Path): boolean =>
    variables.some((variable) => Tree.format(variable.path) === Tree.format(path))

// -----------------------------------------------------------------------------
// The file
// -----------------------------------------------------------------------------

const names = Source.endings.map((ending) => `terrace.${ending}`)

const invalid = (problem: string) => Effect.fail(new InvalidConfig({ problems: [problem] }))

const readable = (file: string) =>
  Source.endings.some((ending) => file.endsWith(`.${ending}`))
    ? Effect.succeed(file)
    : invalid(
        `${file}: found another ending, expected ${Source.endings.map((ending) => `.${ending}`).join(", ")}, for example --config terrace.yaml`
      )

/** The file of the working directory. */
const found = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const there = yield* Effect.filter(names, (name) => Effect.orElseSucceed(files.exists(name), () => false))
  const [name] = there
  return there.length > 1
    ? yield* invalid(`found ${there.join(" and ")}, expected one of them, or --config, for example --config ${name}`)
    : name
})

const read = (name: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(name)).pipe(
    Effect.catch((error) =>
      invalid(`${name}: cannot be read (${error.reason._tag}), expected a file, for example --config terrace.yaml`)
    )
  )

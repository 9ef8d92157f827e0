/**
 * What the schema found wrong, as problems: one for each place, in the words of the field that is there.
 */
import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import { type Doc, docIn, plain } from "./field.ts"
import { nearest } from "./nearest.ts"
import * as Problem from "./Problem.ts"
import * as Tree from "./Tree.ts"

export const problemsOf = (
  issue: SchemaIssue.Issue,
  tree: unknown,
  origins: Problem.Origins
): ReadonlyArray<Problem.Problem> => {
  const problems: Array<Problem.Problem> = []

  const walk = (issue: SchemaIssue.Issue, path: Tree.Path, outer: Doc | undefined): void => {
    switch (issue._tag) {
      case "Pointer":
        return walk(issue.issue, [...path, ...issue.path.map(stepOf)], undefined)
      case "Composite":
        return issue.issues.forEach((part) => walk(part, path, docIn(issue.ast.annotations) ?? outer))
      case "Encoding":
        return walk(issue.issue, path, docIn(issue.ast.annotations) ?? outer)
      case "Filter":
        return walk(issue.issue, path, outer)
      case "AnyOf": {
        const doc = docIn(issue.ast.annotations) ?? outer
        // Who has written keys wants to hear of the keys; who has written a value, of all that could stand there.
        if (Tree.isSection(Tree.get(tree, path)) && issue.issues.length > 0) {
          return issue.issues.forEach((part) => walk(part, path, doc))
        }
        const { discriminator } = doc ?? unknownDoc
        return discriminator !== undefined && Tree.isSection(Tree.get(tree, path))
          ? tell([...path, discriminator.key], { ...unknownDoc, ...discriminator })
          : tell(path, doc)
      }
      case "MissingKey":
        return tell(path, docIn(issue.annotations) ?? outer)
      case "UnexpectedKey":
        return unknownKey(path, keysOf(issue.ast))
      case "InvalidType":
        return tell(path, docIn(issue.ast.annotations) ?? outer)
      case "InvalidValue":
      case "Forbidden":
      case "OneOf":
        return tell(path, outer)
    }
  }

  const tell = (path: Tree.Path, doc: Doc | undefined) =>
    void problems.push(Problem.ofValue(tree, path, doc ?? unknownDoc, origins))

  const unknownKey = (path: Tree.Path, known: ReadonlyArray<string>) => {
    const key = String(path.at(-1))
    problems.push({
      path,
      found: "a key that is not known",
      expected: `one of ${known.join(", ")}`,
      example: nearest(key, known)
    })
  }

  walk(issue, [], undefined)
  return problems
}

const unknownDoc: Doc = { ...plain, meaning: "", expected: "another value" }

const stepOf = (key: PropertyKey): string | number => (typeof key === "symbol" ? String(key) : key)

const keysOf = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects"
    ? ast.propertySignatures.map(({ name }) => String(name)).filter((name) => name !== "$schema")
    : []

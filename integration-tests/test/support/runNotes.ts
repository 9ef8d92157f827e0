/** Runs the example of the README in the working directory and prints what it has found. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import { program } from "../../examples/notes.ts"

const found = await Effect.runPromise(Effect.provide(Effect.scoped(program), NodeFileSystem.layer))
if (found._tag === "Found" && found.blob.body._tag === "Inline") process.stdout.write(found.blob.body.bytes)

/**
 * Damages blob files behind the tier's back.
 */
import type * as Key from "@terrace/core/Key"
import type { Damage } from "@terrace/testkit/TierSuite"
import * as Effect from "effect/Effect"
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  truncateSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import * as BlobFile from "../../src/internal/BlobFile.ts"
import * as Layout from "../../src/internal/Layout.ts"
import { prefix } from "./Leaks.ts"

/** The files of the key in the directories of this process: one, unless a directory is left over. */
const pathsOf = (key: Key.Key): ReadonlyArray<string> =>
  readdirSync(tmpdir())
    .filter((name) => name.startsWith(prefix))
    .map((name) => `${Layout.shardPath(`${tmpdir()}/${name}`, Layout.shardOf(key.group))}/${Layout.fileName(key)}`)
    .filter((path) => existsSync(path))

/** Writes another byte in place of the one that is there. */
const flip = (path: string, at: (tail: Buffer) => number): void => {
  const file = openSync(path, "r+")
  try {
    const { size } = fstatSync(file)
    const tail = Buffer.alloc(Math.min(size, BlobFile.maxTrailerBytes))
    readSync(file, tail, 0, tail.length, size - tail.length)
    const position = at(tail)
    const byte = Buffer.alloc(1)
    readSync(file, byte, 0, 1, position)
    writeSync(file, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, position)
  } finally {
    closeSync(file)
  }
}

const inflict: Readonly<Record<Damage, (path: string) => void>> = {
  body: (path) => flip(path, (tail) => payloadBytes(tail) - 1),
  header: (path) => flip(path, (tail) => payloadBytes(tail) + 100),
  truncated: (path) => truncateSync(path, statSync(path).size - 40)
}

/** As the footer says it. */
const payloadBytes = (tail: Buffer): number => Number(tail.readBigUInt64BE(tail.length - 24))

/** Damages what the tier that is open in this process holds of a key. */
export const damage = (key: Key.Key, where: Damage): Effect.Effect<void> =>
  Effect.sync(() => {
    const paths = pathsOf(key)
    if (paths.length === 0) throw new Error(`there is no file of ${key.text}`)
    for (const path of paths) inflict[where](path)
  })

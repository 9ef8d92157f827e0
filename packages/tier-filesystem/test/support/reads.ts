/**
 * Counts the bytes that are read from files.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"

export interface Reads {
  /** The real file system. */
  readonly layer: Layer.Layer<FileSystem.FileSystem>
  readonly bytes: Effect.Effect<number>
}

export const make = (): Reads => {
  let total = 0
  const counted = (file: FileSystem.File): FileSystem.File => ({
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    stat: file.stat,
    sync: file.sync,
    seek: (offset, from) => file.seek(offset, from),
    read: (buffer, options) => Effect.tap(file.read(buffer, options), (read) => Effect.sync(() => (total += read))),
    readAlloc: (size, options) => file.readAlloc(size, options),
    truncate: (length) => file.truncate(length),
    write: (buffer) => file.write(buffer),
    writeAll: (buffer) => file.writeAll(buffer)
  })
  return {
    bytes: Effect.sync(() => total),
    layer: Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (real) =>
        FileSystem.FileSystem.of({
          ...real,
          open: (path, options) => Effect.map(real.open(path, options), counted)
        })
      )
    ).pipe(Layer.provide(NodeFileSystem.layer))
  }
}

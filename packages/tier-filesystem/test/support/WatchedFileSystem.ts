/**
 * The real file system, whose calls are recorded and can be made to fail with an errno.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { type PlatformError, systemError } from "effect/PlatformError"

export class Watch {
  /** Calls so far, for example `sync temporary`. */
  readonly calls: Array<string> = []
  /** Asked before each call; an errno makes it fail. */
  fault: (call: string, index: number) => string | undefined = () => undefined
  /** Runs before each call. */
  before: (call: string) => Effect.Effect<void> = () => Effect.void

  clear(): void {
    this.calls.length = 0
  }
}

/** What a path is to the tier. */
const kindOf = (path: string): string => {
  if (path.includes("/.tmp-")) return "temporary"
  if (/\/[0-9a-f]{2}\/[0-9a-f]{2}\/[^/]+~[^/]+$/.test(path)) return "blob"
  if (/\/[0-9a-f]{2}\/[0-9a-f]{2}$/.test(path)) return "inner"
  if (/\/[0-9a-f]{2}$/.test(path)) return "outer"
  return /\/(lock|usage|quarantine)/.exec(path)?.[1] ?? "root"
}

export const errnoError = (code: string, method: string, path: string): PlatformError =>
  systemError({
    _tag: code === "ENOENT" ? "NotFound" : code === "EACCES" || code === "EPERM" ? "PermissionDenied" : "Unknown",
    module: "FileSystem",
    method,
    pathOrDescriptor: path,
    cause: Object.assign(new Error(`${code}: injected, ${method} '${path}'`), { code, syscall: method })
  })

export const layer = (watch: Watch): Layer.Layer<FileSystem.FileSystem> =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (real) => {
      const around = <A, R>(method: string, path: string, effect: Effect.Effect<A, PlatformError, R>) =>
        Effect.suspend((): Effect.Effect<A, PlatformError, R> => {
          const call = `${method} ${kindOf(path)}`
          const index = watch.calls.push(call) - 1
          const code = watch.fault(call, index)
          return Effect.andThen(
            watch.before(call),
            code === undefined ? effect : Effect.fail(errnoError(code, method, path))
          )
        })
      const file = (path: string, self: FileSystem.File): FileSystem.File => ({
        [FileSystem.FileTypeId]: FileSystem.FileTypeId,
        stat: around("fstat", path, self.stat),
        seek: (offset, from) => self.seek(offset, from),
        sync: around("sync", path, self.sync),
        read: (buffer, options) => around("read", path, self.read(buffer, options)),
        readAlloc: (size, options) => around("read", path, self.readAlloc(size, options)),
        truncate: (length) => self.truncate(length),
        write: (buffer) => around("write", path, self.write(buffer)),
        writeAll: (buffer) => around("write", path, self.writeAll(buffer))
      })
      return FileSystem.FileSystem.of({
        ...real,
        open: (path, options) =>
          Effect.andThen(
            Effect.addFinalizer(() => Effect.orDie(around("closed", path, Effect.void))),
            Effect.map(around("open", path, real.open(path, options)), (opened) => file(path, opened))
          ),
        rename: (from, to) => around("rename", from, real.rename(from, to)),
        remove: (path, options) => around("remove", path, real.remove(path, options)),
        makeDirectory: (path, options) => around("mkdir", path, real.makeDirectory(path, options)),
        readDirectory: (path, options) => around("readdir", path, real.readDirectory(path, options)),
        stat: (path) => around("stat", path, real.stat(path)),
        utimes: (path, atime, mtime) => around("utimes", path, real.utimes(path, atime, mtime)),
        link: (from, to) => around("link", to, real.link(from, to)),
        access: (path, options) => around("access", path, real.access(path, options))
      })
    })
  ).pipe(Layer.provide(NodeFileSystem.layer))

#!/usr/bin/env node
/**
 * Entry point: starts the server with the settings of the environment.
 *
 * Two settings of the process itself must be there before it begins: the size of libuv's thread pool, which image work
 * and file reads share, and the number of malloc arenas of glibc, without which freed image buffers stay resident. So the
 * process replaces itself once with both set.
 */
import { availableParallelism } from "node:os"

const wanted = {
  UV_THREADPOOL_SIZE: String(availableParallelism() + 4),
  MALLOC_ARENA_MAX: "2"
}

const isMissing = Object.keys(wanted).some((name) => process.env[name] === undefined)

if (isMissing && process.execve !== undefined && process.platform !== "win32") {
  process.execve(process.execPath, [process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    ...wanted,
    ...process.env
  })
} else {
  process.env["UV_THREADPOOL_SIZE"] ??= wanted.UV_THREADPOOL_SIZE
  await import("./start.ts")
}

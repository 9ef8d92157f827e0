/**
 * A process that listens and, once it is stopped (SIGSTOP), accepts nothing. Prints its port.
 */
import { createServer } from "node:net"

const server = createServer().listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
  const address = server.address()
  process.stdout.write(`${typeof address === "object" ? address?.port : ""}\n`)
})

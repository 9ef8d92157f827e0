/**
 * Containers on the engine, running or not, as the engine tells.
 */
import * as Effect from "effect/Effect"
import { getContainerRuntimeClient } from "testcontainers"

/** Gives what is started from now on, until the scope closes, an owner of its own, and answers it. */
export const ownOwner = Effect.acquireRelease(
  Effect.sync(() => {
    const before = process.env[variable]
    const owner = `${before}/apart`
    process.env[variable] = owner
    return { before, owner }
  }),
  ({ before }) => Effect.sync(() => (process.env[variable] = before))
).pipe(Effect.map(({ owner }) => owner))

const variable = "TERRACE_CONTAINER_OWNER"

export const containersOf = ({ owner, port }: { readonly owner?: string; readonly port?: number }) =>
  Effect.promise(async () => {
    const { container } = await getContainerRuntimeClient()
    const all = await container.dockerode.listContainers({
      all: true,
      ...(owner === undefined ? {} : { filters: { label: [`io.terrace.testkit.owner=${owner}`] } })
    })
    const details = await Promise.all(
      all.map(({ Id }) =>
        container
          .getById(Id)
          .inspect()
          // Another test has removed it meanwhile.
          .catch(() => undefined)
      )
    )
    return details.filter((one) => {
      if (one === undefined) return false
      const bindings: Record<string, ReadonlyArray<{ HostPort?: string }>> = one.HostConfig.PortBindings ?? {}
      return (
        port === undefined ||
        Object.values(bindings)
          .flat()
          .some(({ HostPort }) => HostPort === String(port))
      )
    })
  })

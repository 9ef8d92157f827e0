/** Containers on the engine, running or not, as the engine tells. */
import * as Effect from "effect/Effect"
import { getContainerRuntimeClient } from "testcontainers"

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

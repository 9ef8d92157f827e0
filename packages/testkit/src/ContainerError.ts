/**
 * Why a server in a container does not do what a test asks of it, and what to run.
 */
import * as Schema from "effect/Schema"

/** No container engine answers. */
export class EngineUnavailable extends Schema.TaggedError<EngineUnavailable>(
  "@terrace/testkit/ContainerError/EngineUnavailable"
)("EngineUnavailable", { cause: Schema.Defect() }) {}

/** The image is not on this machine and cannot be pulled. */
export class ImageMissing extends Schema.TaggedError<ImageMissing>("@terrace/testkit/ContainerError/ImageMissing")(
  "ImageMissing",
  { cause: Schema.Defect() }
) {}

/** The container did not start, or its server was not ready in time. */
export class NotReady extends Schema.TaggedError<NotReady>("@terrace/testkit/ContainerError/NotReady")("NotReady", {
  detail: Schema.String,
  /** The last lines that the container has printed. */
  log: Schema.String
}) {}

/** The engine refused, or a command inside the container failed. */
export class Failed extends Schema.TaggedError<Failed>("@terrace/testkit/ContainerError/Failed")("Failed", {
  detail: Schema.String
}) {}

export type Reason = EngineUnavailable | ImageMissing | NotReady | Failed

/** The one error of servers in containers; its message is one line that says what to run. */
export class ContainerError extends Schema.TaggedError<ContainerError>("@terrace/testkit/ContainerError")(
  "ContainerError",
  {
    image: Schema.String,
    /** What was asked, such as `start`, `pause`, `exec`. */
    operation: Schema.String,
    reason: Schema.Union([EngineUnavailable, ImageMissing, NotReady, Failed])
  }
) {
  override get message(): string {
    return `${this.image}: ${this.operation}: ${describe(this.image, this.reason)}`
  }
}

const describe = (image: string, reason: Reason): string => {
  switch (reason._tag) {
    case "EngineUnavailable":
      return "no container engine answers; start Docker, or let DOCKER_HOST name an engine: `docker info` must answer"
    case "ImageMissing":
      return `the image is missing and cannot be pulled (${oneLine(reason.cause)}); run: docker pull ${image}`
    case "NotReady":
      return `${reason.detail}; it printed: ${oneLine(reason.log) || "nothing"}`
    case "Failed":
      return reason.detail
  }
}

/** The end of a text, on one line. */
const oneLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause))
    .trim()
    .replaceAll(/\s*\n\s*/g, " | ")
    .slice(-300)

/**
 * A server whose masters are in a bucket of its own, on a real S3 server, and what clients without credentials do.
 */
import * as FaultProxy from "@terrace/testkit/FaultProxy"
import * as S3Server from "@terrace/testkit/S3Server"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import { Server } from "./Http.ts"
import { type Environment, startOn, temporaryDirectory } from "./TestServer.ts"

/** A bucket of its own. */
export interface Place {
  readonly s3: S3Server.S3
  readonly bucket: string
  /** Between the server, and clients, and S3. */
  readonly proxy: FaultProxy.FaultProxy
}

export interface Deployment extends Place {
  readonly server: Server["Service"]
}

/** Images of this size and more are redirected where the tests say so, in bytes. */
export const above = 20_000

/** What a server is told to be on the bucket. */
export const environmentOf = ({ bucket, proxy, s3 }: Place): Environment => ({
  TERRACE_S3_BUCKET: bucket,
  TERRACE_S3_ENDPOINT: `http://${proxy.host}:${proxy.port}`,
  TERRACE_S3_PREFIX: "images/",
  AWS_ACCESS_KEY_ID: s3.accessKeyId,
  AWS_SECRET_ACCESS_KEY: s3.secretAccessKey
})

export const redirecting: Environment = { TERRACE_DELIVERY: "redirect", TERRACE_DELIVERY_ABOVE: String(above) }

export const makeBucket = Effect.gen(function* () {
  const s3 = yield* S3Server.S3Server
  const place: Place = {
    s3,
    bucket: yield* s3.createBucket,
    proxy: yield* FaultProxy.make({ host: s3.host, port: s3.port })
  }
  return place
})

/** Runs a test beside a server of its own. */
export const withDeployment = <E>(
  use: (deployment: Deployment) => Effect.Effect<unknown, E, Server | S3Server.S3Server | Scope.Scope>,
  settings: Environment = redirecting
) =>
  Effect.gen(function* () {
    const place = yield* makeBucket
    const environment = { ...environmentOf(place), ...settings }
    const server = yield* startOn(join(yield* temporaryDirectory, "data"), environment)
    yield* Effect.provideService(use({ ...place, server }), Server, server)
  })

/** A request of somebody who knows nothing but the URL. */
export const follow = (url: string, init: RequestInit = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, init)
    const { headers, status } = response
    return { status, headers, bytes: Buffer.from(await response.arrayBuffer()) }
  })

/** What a signed URL says of itself: how long it is good for, in seconds, and until when, in Unix milliseconds. */
export const signatureOf = (url: string) => {
  const { searchParams } = new URL(url)
  const expires = Number(searchParams.get("X-Amz-Expires"))
  const began = (searchParams.get("X-Amz-Date") ?? "").replace(
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
    "$1-$2-$3T$4:$5:$6Z"
  )
  return { expires, end: Date.parse(began) + expires * 1_000 }
}

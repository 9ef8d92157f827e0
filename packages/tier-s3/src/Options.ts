/**
 * How an S3 tier is set up.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/** A pair of keys, as an administrator hands them out. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  /** Belongs to temporary keys. */
  readonly sessionToken?: Redacted.Redacted | undefined
}

export interface Options {
  /** Name of the tier, unique in its chain. Default: "s3". */
  readonly name?: string | undefined
  /** Name of a general purpose bucket, or the ARN of an access point of one. */
  readonly bucket: string
  /** Region of the bucket, for example "eu-central-1". Default: what the SDK finds; with `endpoint`, "us-east-1". */
  readonly region?: string | undefined
  /** Address of a server other than Amazon's, for example "https://s3.example.com". Default: Amazon's, by region. */
  readonly endpoint?: string | undefined
  /** Put the bucket's name into the path instead of the host name, as most other servers want it. Default: false. */
  readonly forcePathStyle?: boolean | undefined
  /** Begins the key of every object; ends with "/". Default: none. */
  readonly prefix?: string | undefined
  /** Default: what the SDK finds: environment, shared files, identity of the container or machine. */
  readonly credentials?: Credentials | undefined
  /** Make the bucket at start if it is missing. Default: false. */
  readonly createBucket?: boolean | undefined
  /**
   * What a start does if the server cannot be reached: `fail`, or log a warning and serve once it can, for which it waits
   * as long as for a connection. Default: `fail`.
   */
  readonly ifUnreachable?: "fail" | "warn" | undefined
  /**
   * Writes and removals depend on the ETag of what is there, so that newer wins among all writers of the bucket; that the
   * server heeds it is tried out. `false`, for servers that do not: among the writers of this process only. Default: true.
   */
  readonly conditionalWrites?: boolean | undefined
  /**
   * The server looks at the condition of a removal and removes in one step, so that a newer blob that is put at the same
   * moment stays. Amazon S3 does; Ceph 20 looks first and removes then. `false`: `atomicPut` is `process`. Default: true
   * without `endpoint`, else false.
   */
  readonly atomicRemovals?: boolean | undefined
  /** Bodies of this many bytes and more are streamed, smaller ones held in memory. Default: 1,048,576 (1 MiB). */
  readonly inlineBelow?: number | undefined
  /** Largest body, in bytes. Default: none of its own; a header holds the checksums of some 190 MiB. */
  readonly maxBytes?: number | undefined
  /**
   * Streamed bodies of this many bytes and more are put in parts, smaller ones are held in memory first. Default:
   * 8,388,608 (8 MiB).
   */
  readonly multipartFrom?: number | undefined
  /** Bytes of a part, which a put holds in memory; 5 MiB to 5 GiB. Default: 8,388,608 (8 MiB). */
  readonly partBytes?: number | undefined
  /** Requests in flight at once, bodies that are being read not counted. Default: 64. */
  readonly concurrency?: number | undefined
  /** Bodies that are being read at once. Default: 64. */
  readonly maxStreams?: number | undefined
  /** Requests that may wait for their turn; the same number of bodies. What comes then is turned away. Default: 256. */
  readonly maxWaiting?: number | undefined
  /** Time to connect to the server. Default: 3 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Time for the answer to one request, and for each piece of a body. Default: 20 seconds. */
  readonly requestTimeout?: Duration.Input | undefined
  /** Address under which clients reach the server, where that is not `endpoint`: presigned URLs begin with it. */
  readonly publicEndpoint?: string | undefined
  /** Address of a CDN that serves the bucket, for `publicUrl`; for example "https://cdn.example.com". */
  readonly cdnUrl?: string | undefined
}

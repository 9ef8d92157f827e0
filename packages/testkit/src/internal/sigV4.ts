/**
 * Signature of a request without a body, so that a bucket can be made without an SDK.
 *
 * Source: AWS, "Signature Version 4 signing process", for S3 (one part of the path, no query).
 */
import { createHash, createHmac } from "node:crypto"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest()

/** Headers that sign the request; `host` is what `fetch` sends. */
export const signed = (
  method: string,
  url: URL,
  region: string,
  { accessKeyId, secretAccessKey }: Credentials,
  now: string
): Record<string, string> => {
  const time = now.replaceAll(/[-:]|\.\d+/g, "")
  const day = time.slice(0, 8)
  const scope = `${day}/${region}/s3/aws4_request`
  const payload = sha256("")
  const names = "host;x-amz-content-sha256;x-amz-date"
  const request = [
    method,
    url.pathname,
    "",
    `host:${url.host}`,
    `x-amz-content-sha256:${payload}`,
    `x-amz-date:${time}`,
    "",
    names,
    payload
  ].join("\n")
  const key = [day, region, "s3", "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`)
  const signature = hmac(key, ["AWS4-HMAC-SHA256", time, scope, sha256(request)].join("\n")).toString("hex")
  return {
    "x-amz-date": time,
    "x-amz-content-sha256": payload,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
  }
}

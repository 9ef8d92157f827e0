/**
 * Makes the bucket of the image servers in `docker-compose.test.yml`, unless it is there: a server never does that itself.
 *
 * Reads the settings of the server.
 */
import { BucketAlreadyOwnedByYou, CreateBucketCommand, S3Client } from "@aws-sdk/client-s3"

const {
  TERRACE_S3_BUCKET: bucket,
  TERRACE_S3_ENDPOINT: endpoint,
  TERRACE_S3_REGION: region = "us-east-1"
} = process.env
if (bucket === undefined || endpoint === undefined)
  throw new Error("TERRACE_S3_BUCKET and TERRACE_S3_ENDPOINT must be set")

const client = new S3Client({ endpoint, region, forcePathStyle: true })

await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
  if (!(error instanceof BucketAlreadyOwnedByYou)) throw error
})
client.destroy()

export * as S3Tier from "./S3Tier.ts"

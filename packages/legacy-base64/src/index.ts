export * as Base64 from "./Base64.ts"
export * as LegacyError from "./LegacyError.ts"
export * as LegacyRecord from "./LegacyRecord.ts"
export * as Metadata from "./Metadata.ts"

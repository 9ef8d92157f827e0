export * as FilesystemTier from "./FilesystemTier.ts"

export * as MemoryTier from "./MemoryTier.ts"

export * as RedisBus from "./RedisBus.ts"
export * as RedisConnection from "./RedisConnection.ts"
export * as RedisLeases from "./RedisLeases.ts"
export * as RedisTier from "./RedisTier.ts"

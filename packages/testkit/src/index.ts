export * as ChaosTier from "./ChaosTier.ts"
export * as Fixtures from "./Fixtures.ts"
export * as TierSuite from "./TierSuite.ts"

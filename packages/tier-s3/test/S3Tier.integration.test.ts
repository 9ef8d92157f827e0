import { describe, it } from "@effect/vitest"
import * as S3Server from "@terrace/testkit/S3Server"
import { faults } from "./cases/faults.ts"
import { failing } from "./cases/failing.ts"
import { forgetting } from "./cases/forgetting.ts"
import { limits } from "./cases/limits.ts"
import { listing } from "./cases/listing.ts"
import { parts } from "./cases/parts.ts"
import { presigning } from "./cases/presigning.ts"
import { reading } from "./cases/reading.ts"
import { readme } from "./cases/readme.ts"
import { starting } from "./cases/starting.ts"
import { writing } from "./cases/writing.ts"

// One server for all: each test has a bucket of its own.
it.layer(S3Server.layer(), { excludeTestServices: true, timeout: "120 seconds" })("S3Tier", (it) => {
  describe("writing", () => {
    writing(it)
  })
  describe("reading", () => {
    reading(it)
  })
  describe("listing", () => {
    listing(it)
  })
  describe("presigning", () => {
    presigning(it)
  })
  describe("starting", () => {
    starting(it)
  })
  describe("failing", () => {
    failing(it)
  })
  describe("faults", () => {
    faults(it)
  })
  describe("limits", () => {
    limits(it)
  })
  describe("forgetting", () => {
    forgetting(it)
  })
  describe("in parts", () => {
    parts(it)
  })
  describe("README", () => {
    readme(it)
  })
})

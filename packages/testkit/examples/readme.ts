import { TierSuite } from "@terrace/testkit"
import * as MapTier from "./MapTier.ts"

TierSuite.suite("a map", { tier: MapTier.MapTier, layer: MapTier.layer })

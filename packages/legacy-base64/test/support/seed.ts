/** Of all that is drawn at random in a run. A failure names it; `TERRACE_LEGACY_SEED=<seed>` draws the same again. */
import { randomInt } from "node:crypto"

export const seed = Number(process.env["TERRACE_LEGACY_SEED"] ?? randomInt(2 ** 31))

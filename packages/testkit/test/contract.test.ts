import { assert, describe, it } from "@effect/vitest"
import { TierSuite } from "@terrace/testkit"
import { readFileSync } from "node:fs"

/** What each bullet of the contract begins with, and what the cases begin with that hold a tier to it. */
const heldBy: Readonly<Record<string, Readonly<Record<string, ReadonlyArray<string>>>>> = {
  get: {
    "answers `Miss` for a key that was never put": [
      "get - answers Miss for a key that was never put",
      "get - answers a blob up to the millisecond before `expiresAt`, and Miss from then on",
      "remove - removes a blob"
    ],
    "answers the blob of the highest generation": [
      "put - replaces a blob by one of a higher generation",
      "put - keeps 16 MiB",
      "one writer and eight readers - "
    ],
    "a blob that fails verification is set aside": [
      "get - of a blob whose body was damaged",
      "get - of a blob whose header was damaged",
      "get - of a blob that was truncated",
      "get - of a large blob whose body was damaged",
      "open - of a blob whose body was damaged after it was got",
      "open - of a range in a damaged chunk"
    ],
    "once the tier is closed": ["reopening - a tier that was closed answers no Miss"]
  },
  // `get - answers every field` and all cases like it look at what they put by `get`, `head` and `peek`.
  peek: {
    "answers what `get` answers": ["get - answers every field of the header"],
    "answers `Skipped` where it cannot say": ["get - answers every field of the header"]
  },
  head: {
    "answers as `get` does": ["get - answers every field of the header", "head - of a blob whose header was damaged"]
  },
  put: {
    "becomes visible at once and whole": [
      "put - refuses bytes that are not those of the header",
      "put - refuses a header whose digest",
      "put - refuses a header whose checksums",
      "put - refuses a streamed body that delivers other bytes",
      "one writer and eight readers - "
    ],
    "newer wins": [
      "put - answers Superseded to an older generation",
      "put - answers Superseded to the same generation",
      "put - answers Stored to a retry",
      "writers of different generations",
      "any calls - "
    ],
    "with `expected`, answers `Conflict`": [
      "put - with expected `absent`",
      "put - with an expected generation",
      "writers that expect `absent`"
    ],
    "a failed overwrite leaves the old blob": ["put - of a stream that fails after any number of bytes"],
    "`Declined` means": [
      "put - declines a body above the declared maxBytes",
      "put - of a newer blob that is already past `expiresAt` keeps the old one"
    ],
    "every field of the header is kept exactly": [
      "get - answers every field of the header",
      "put - keeps attributes of odd names",
      "put - keeps times"
    ],
    "interrupted, or with a stream that fails": [
      "put - over an old blob, interrupted",
      "put - of a new key, interrupted",
      "put - of a stream that is interrupted after any number of pieces",
      "reopening - after a put"
    ],
    "opens a streamed body at most once": ["put - opens a streamed body at most once"],
    "while it waits for a stream": [
      "streamed put - that a newer put overtakes",
      "streamed puts - ",
      "streamed put - that a remove"
    ],
    "of a `Streamed` body, without the capability": ["put - answers Unsupported to a streamed body"]
  },
  remove: {
    "answers `Absent` if there is none": [
      "remove - answers Absent",
      "remove - answers Superseded",
      "remove and removeGroup - count a blob past `expiresAt` as absent"
    ],
    "interrupted, it has happened or not": ["remove - interrupted"],
    "readers that are streaming the blob": ["open - a reader whose blob is removed meanwhile"]
  },
  removeGroup: {
    "answers how many it has removed": ["removeGroup - removes every blob", "removeGroup - keeps members newer"],
    "blobs past `expiresAt` are none": ["remove and removeGroup - count a blob past `expiresAt` as absent"],
    "a group whose name only begins alike": ["removeGroup - leaves groups whose names only begin alike"],
    "interrupted, each blob is there or not": ["removeGroup - interrupted"]
  },
  scan: {
    "an entry that is there from beginning to end": ["scan - hides no key", "scan - resumed page by page"],
    "a tier that can tell": ["scan - answers BadCursor"],
    "without the capability `list`": ["scan - answers Unsupported"]
  },
  usage: {
    "where `exact`, counts every blob once": [
      "usage - counts bytes and entries",
      "usage - is as before after puts that were not stored"
    ],
    "`bytes` is never above": ["usage - stays below its limit"]
  },
  evictions: { "counts no blob that was removed": ["usage - counts bytes and entries up and down"] },
  corrupted: { "counts a blob when a read finds": ["get - of a blob whose body was damaged"] }
}

const source = readFileSync(new URL("../../core/src/Tier.ts", import.meta.url), "utf8")
const contract = /\nexport interface Tier \{\n([\s\S]*?)\n\}\n/.exec(source)?.[1] ?? ""

/** The bullets below `Behavior:` in the text before each member. */
const bullets: ReadonlyArray<readonly [member: string, bullet: string]> = Array.from(
  contract.matchAll(/\/\*\*([\s\S]*?)\*\/\s*readonly (\w+)/g)
).flatMap(([, comment = "", member = ""]) => {
  const [, behavior = ""] = comment.replaceAll(/\n\s*\* ?/g, "\n").split("Behavior:")
  return behavior
    .split("\n- ")
    .slice(1)
    .map((bullet) => [member, bullet.replaceAll(/\s+/g, " ").trim()] as const)
})

describe("the contract in Tier.ts", () => {
  it("has bullets of behaviour for every method and counter", () => {
    const members = Array.from(contract.matchAll(/^ {2}readonly (\w+)/gm), ([, member]) => member ?? "")
    const described = new Set(bullets.map(([member]) => member))

    assert.deepStrictEqual(
      members.filter((member) => !described.has(member)),
      ["name", "capabilities"]
    )
  })

  it.each(bullets)("%s - %s", (member, bullet) => {
    const entries = Object.entries(heldBy[member] ?? {}).filter(([beginning]) => bullet.startsWith(beginning))

    assert.strictEqual(entries.length, 1, "cases that hold a tier to it")
    for (const beginning of entries[0]?.[1] ?? []) {
      assert.isTrue(
        TierSuite.cases.some(({ name }) => name.startsWith(beginning)),
        `a case that begins with "${beginning}"`
      )
    }
  })

  it("has every bullet that cases are named for", () => {
    for (const [member, held] of Object.entries(heldBy)) {
      for (const beginning of Object.keys(held)) {
        const named = bullets.filter(([of, bullet]) => of === member && bullet.startsWith(beginning))
        assert.strictEqual(named.length, 1, `${member} - ${beginning}`)
      }
    }
  })
})

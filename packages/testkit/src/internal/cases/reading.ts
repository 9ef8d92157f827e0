/** What `get` and `head` answer. */
import * as Key from "@terrace/core/Key"
import * as Effect from "effect/Effect"
import * as Fixtures from "../../Fixtures.ts"
import * as Case from "../Case.ts"
import * as expect from "../expect.ts"

export const reading: ReadonlyArray<Case.Case> = [
  Case.make(
    "get - answers Miss for a key that was never put",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject

      yield* expect.misses(tier, Key.makeUnsafe(group("never"), "master"))
    })
  ),

  Case.make(
    "get - answers every field of the header and the bytes as they were put",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({
        group: group("all"),
        size: 3_000,
        generation: 1_700_000_000_000_001,
        contentType: 'image/webp; note="a b"',
        createdAt: 1_700_000_000_000,
        freshUntil: 4_000_000_000_000,
        expiresAt: 4_100_000_000_000,
        attributes: {
          title: "Äpfel, 東京, Ελλάδα 🌋, e\u0301",
          quoted: 'a "quote", a \\ backslash, a\ttab, a\nline\u2028end',
          empty: "",
          "odd key: ü": "1"
        }
      })

      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "get - answers a header without optional fields as it was put",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("bare") })

      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "get - answers the same blob every time",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blob = Fixtures.blob({ group: group("again") })
      yield* expect.stores(tier, blob)

      yield* expect.holds(tier, blob)
      yield* expect.holds(tier, blob)
      yield* expect.holds(tier, blob)
    })
  ),

  Case.make(
    "get - tells keys apart: names of one group, one name in two groups, a group that begins like another",
    {},
    Effect.gen(function* () {
      const { tier, group } = yield* Case.Subject
      const blobs = [
        Fixtures.blob({ group: group("a"), name: "master", seed: 1 }),
        Fixtures.blob({ group: group("a"), name: "master~1", seed: 2 }),
        Fixtures.blob({ group: group("b"), name: "master", seed: 3 }),
        Fixtures.blob({ group: group("ab"), name: "master", seed: 4 }),
        Fixtures.blob({ group: group("a-b"), name: "c", seed: 5 }),
        Fixtures.blob({ group: group("a"), name: "b-c", seed: 6 })
      ]
      for (const blob of blobs) yield* expect.stores(tier, blob)

      for (const blob of blobs) yield* expect.holds(tier, blob)
      yield* expect.misses(tier, Key.makeUnsafe(group("b"), "master~1"))
    })
  )
]

/**
 * Names of the blobs of an image. Its id is the group of them all, so that they are removed together.
 */
import type * as Header from "@terrace/core/Header"
import * as Key from "@terrace/core/Key"
import * as Preset from "@terrace/image/Preset"
import { hash } from "node:crypto"

export const masterName = "master"
export const master = (id: string): Key.Key => Key.makeUnsafe(id, masterName)

/** An original belongs to one master: it is named after its digest. */
export const original = (id: string, masterDigest: string): Key.Key =>
  Key.makeUnsafe(id, `original~${masterDigest.slice(0, 16)}`)

/** A variant of one master: named after its version and what renders it, so that one of an older master is never reached. */
export const variant = (master: Header.Header, preset: Preset.Preset): Key.Key => {
  const recipe = hash("sha256", `${Preset.recipe(preset)} ${Preset.rendererVersion}`, "hex").slice(0, 16)
  return Key.makeUnsafe(master.key.group, `${versionOf(master)}~${recipe}`)
}

/** First 16 hex digits of the master's digest: the version in `?v=`. */
export const versionOf = (master: Header.Header): string => master.digest.slice(0, 16)

/** What nobody stores; asked for to learn whether the store answers. */
export const probe = Key.makeUnsafe("readiness", "probe")

import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

interface Manifest {
  readonly private?: boolean
  readonly files: ReadonlyArray<string>
  readonly publishConfig?: { readonly access?: string }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL("../../", import.meta.url))
const text = (path: string) => readFileSync(join(root, path), "utf8")
const manifest = (directory: string) => JSON.parse(text(`${directory}/package.json`)) as Manifest

const packages = readdirSync(join(root, "packages"))
  .map((name) => `packages/${name}`)
  .filter((directory) => existsSync(join(root, directory, "package.json")) && manifest(directory).private !== true)

describe.each(packages)("%s as it is published", (directory) => {
  it("has the licence, and may be read by everyone", () => {
    const { files, publishConfig } = manifest(directory)

    assert.strictEqual(text(`${directory}/LICENSE`), text("LICENSE"))
    assert.includeMembers([...files], ["dist", "src", "LICENSE", "README.md"])
    assert.strictEqual(publishConfig?.access, "public")
  })

  it("leaves it to the application which effect it has", () => {
    const { dependencies = {}, peerDependencies = {} } = manifest(directory)

    assert.notInclude(Object.keys(dependencies), "effect")
    assert.notInclude(Object.keys(dependencies), "@effect/vitest")
    assert.match(peerDependencies["effect"] ?? "", /^\^4\./)
  })

  it("has a README whose links lead to files that are published with it", () => {
    if (!existsSync(join(root, directory, "README.md"))) return
    const { files } = manifest(directory)
    const links = Array.from(
      text(`${directory}/README.md`).matchAll(/\]\((?!https?:|#)([^)#]+)/g),
      ([, path]) => path ?? ""
    )
    for (const link of links) {
      assert.isTrue(existsSync(join(root, directory, link)), link)
      assert.include(files, link.split("/")[0], link)
    }
  })
})

describe("the packages that are published", () => {
  it("are those of this repository", () => {
    assert.includeMembers(packages, [
      "packages/core",
      "packages/testkit",
      "packages/tier-memory",
      "packages/tier-filesystem"
    ])
  })
})

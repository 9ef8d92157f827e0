/**
 * A cache that makes what is missing once for all who ask.
 */

/** Makes the value: counts a run and answers when everybody has asked. */
export type Produce = () => Promise<Uint8Array>

export interface Contender {
  /** What is called by each reader; names the contender in the table. */
  readonly name: string
  /** Builds an empty cache; `directory` is there for files, and is empty. */
  readonly open: (produce: Produce, directory: string) => Opened | Promise<Opened>
}

export interface Opened {
  readonly read: (key: string) => Promise<Uint8Array | undefined>
  /** Waits until nothing runs in the background. */
  readonly idle?: () => Promise<void>
  readonly end?: () => Promise<void>
}

/**
 * How the chains use a bucket as their store.
 *
 * A header, or a small object, takes milliseconds; whoever asks for one has better things to do than to wait for a bucket
 * that takes seconds: after five such answers in a row it is not asked for a while, and caches serve without it. An upload
 * of many megabytes may take long over a slow line and be fine, so it has the time that the tier gives one request.
 */
import type { Policy } from "@terrace/core/Policy"

export const bucketPolicy: Policy = {
  deadline: "20 seconds",
  readDeadline: "2 seconds"
}

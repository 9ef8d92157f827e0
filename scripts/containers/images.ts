/** The images that tests run on. */

/** `build-stand-ins.sh` has a recipe for each, for machines that cannot pull. */
export const images = ["redis:8", "quay.io/ceph/ceph:v20", "node:24-trixie-slim"] as const

/** Removes what a killed run leaves, where it can be had; it is testcontainers' choice (a test compares). */
export const reaperImage = process.env["RYUK_CONTAINER_IMAGE"] ?? "testcontainers/ryuk:0.14.0"

/** The example of the README that needs containers. */
import "../examples/containers.ts"

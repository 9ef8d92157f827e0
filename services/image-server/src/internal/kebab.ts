/** The tag of a reason as clients and operators read it: `TimedOut` → `timed-out`. */
export const kebab = (tag: string): string => tag.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()

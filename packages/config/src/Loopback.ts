/**
 * Addresses that only this machine reaches.
 */

/** Whether an address or name to listen on is reachable from this machine only: `localhost`, 127.0.0.0/8 or `::1`. */
export const isLoopbackAddress = (address: string): boolean =>
  address === "::1" || address.toLowerCase() === "localhost" || isLoopbackIPv4(address)

/** Whether it is an address of 127.0.0.0/8 in plain dotted form. */
export const isLoopbackIPv4 = (name: string): boolean => {
  const octets = name.split(".", 5)
  return octets.length === 4 && octets[0] === "127" && octets.every(isOctet)
}

const isOctet = (text: string): boolean => /^(?:0|[1-9][0-9]{0,2})$/.test(text) && Number(text) <= 255

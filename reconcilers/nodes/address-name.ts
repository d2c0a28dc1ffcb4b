import type { ParsedCidr } from '../net/address.ts';

/** Name of the resource that says what the addresses of a prefix are. */
export function addressName(prefix: ParsedCidr): string {
  return `address/${prefix.text}`;
}

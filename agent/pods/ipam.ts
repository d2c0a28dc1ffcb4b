/** Which addresses of the node's pod CIDRs are free. Pure: time comes as a parameter, in ms. */
import { addressText, type Family, parsePrefix } from '../tables/address.ts';

/** An address stays unused this long after its pod is gone, so that nobody takes the new pod for the old. */
export const QUARANTINE_MS = 60_000;
/** Addresses that one CIDR offers at most; enough for any node, and IPv6 ones stay short. */
const MAX_HOSTS = 65_536;

export interface IpamState {
  /** CIDR → index at which the next search starts. */
  readonly cursors: Readonly<Record<string, number>>;
  /** Address → when it was released. */
  readonly released: Readonly<Record<string, number>>;
}

export class Ipam {
  readonly #cursors: Map<string, number>;
  readonly #released: Map<string, number>;

  constructor(state: IpamState = { cursors: {}, released: {} }) {
    this.#cursors = new Map(Object.entries(state.cursors));
    this.#released = new Map(Object.entries(state.released));
  }

  /**
   * One address of each family that the CIDRs have.
   *
   * @throws Error with a sentence if a CIDR has none left
   */
  allocate(cidrs: readonly string[], used: ReadonlySet<string>, now: number): { ipv4?: string; ipv6?: string } {
    this.#forget(now);
    if (cidrs.length === 0) throw new Error('this node has no pod CIDR (yet): see spec.podCIDRs of its Node object');
    const found = new Map<Family, { address: string; cidr: string; next: number }>();
    for (const cidr of cidrs) {
      const family = cidr.includes(':') ? 6 : 4;
      if (!found.has(family)) found.set(family, this.#search(cidr, used));
    }
    for (const { cidr, next } of found.values()) this.#cursors.set(cidr, next);
    const [ipv4, ipv6] = [found.get(4)?.address, found.get(6)?.address];
    return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
  }

  release(address: string, now: number): void {
    this.#released.set(address, now);
  }

  state(now: number): IpamState {
    this.#forget(now);
    return { cursors: Object.fromEntries(this.#cursors), released: Object.fromEntries(this.#released) };
  }

  #forget(now: number): void {
    for (const [address, at] of this.#released) {
      // A clock that was set back must not lock addresses away.
      if (now - at >= QUARANTINE_MS || at > now) this.#released.delete(address);
    }
  }

  #search(cidr: string, used: ReadonlySet<string>): { address: string; cidr: string; next: number } {
    const prefix = parsePrefix(cidr);
    if (prefix === undefined) throw new Error(`the node's pod CIDR ${cidr} is none`);
    const bits = prefix.bytes.length * 8 - prefix.length;
    const hosts = Math.min(2 ** bits, MAX_HOSTS);
    // Network, gateway by convention, and IPv4 broadcast are nobody's.
    const last = prefix.bytes.length === 4 && hosts === 2 ** bits ? hosts - 2 : hosts - 1;
    const count = Math.max(last - 1, 0);
    const start = this.#cursors.get(cidr) ?? 0;
    let resting = 0;
    for (let i = 0; i < count; i++) {
      const index = (start + i) % count;
      const address = addressText(plus(prefix.bytes, index + 2));
      if (used.has(address)) continue;
      if (this.#released.has(address)) resting++;
      else return { address, cidr, next: (index + 1) % count };
    }
    const soon = resting === 0 ? '' : `, ${resting} of them released less than ${QUARANTINE_MS / 1000} s ago`;
    throw new Error(`all ${count} addresses of this node's pod CIDR ${cidr} are in use${soon}`);
  }
}

function plus(bytes: Uint8Array, offset: number): Uint8Array {
  const sum = Uint8Array.from(bytes);
  for (let i = sum.length - 1, carry = offset; i >= 0 && carry > 0; i--) {
    carry += sum[i] ?? 0;
    sum[i] = carry & 255;
    carry = Math.floor(carry / 256);
  }
  return sum;
}

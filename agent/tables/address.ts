/** Addresses and prefixes as text (RFC 5952 for IPv6) and as bytes (4 or 16, network order). */
import { isIPv4, isIPv6 } from 'node:net';

export type Family = 4 | 6;

/** The family of 4 or 16 bytes; undefined for any other length. */
export function familyOf(bytes: Uint8Array): Family | undefined {
  return bytes.length === 4 ? 4 : bytes.length === 16 ? 6 : undefined;
}

/** Text of an address of 4 or 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const gap = longestZeros(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (gap === undefined) return hex(groups);
  return `${hex(groups.slice(0, gap.start))}::${hex(groups.slice(gap.end))}`;
}

function longestZeros(groups: readonly number[]): { start: number; end: number } | undefined {
  let best: { start: number; end: number } | undefined;
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > 1 && end - start > (best === undefined ? 0 : best.end - best.start)) best = { start, end };
    if (end > start) start = end;
  }
  return best;
}

/** Bytes of an address; undefined where the text is none. Zones ("%eth0") are none. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return parseIPv6(text);
}

function parseIPv6(text: string): Uint8Array {
  const dotted = text.lastIndexOf('.') < 0 ? undefined : text.slice(text.lastIndexOf(':') + 1);
  const plain = dotted === undefined ? text : text.slice(0, -dotted.length) + hexOfDotted(dotted);
  const [head = '', tail] = plain.split('::');
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const groups = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function hexOfDotted(text: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** A range of addresses; host bits are zero. */
export interface Prefix {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** "10.0.0.0/8"; undefined where the text is no prefix or has host bits. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const bytes = parseAddress(text.slice(0, Math.max(slash, 0)));
  const digits = text.slice(slash + 1);
  if (bytes === undefined || !/^\d{1,3}$/.test(digits)) return undefined;
  const length = Number(digits);
  if (length > bytes.length * 8) return undefined;
  return maskedText({ bytes, length }) === text ? { bytes, length } : undefined;
}

/** Text of the prefix with host bits zeroed. */
export function maskedText({ bytes, length }: Prefix): string {
  return `${addressText(masked(bytes, length))}/${length}`;
}

/** The address with all but the first bits zeroed. */
export function masked(bytes: Uint8Array, bits: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let i = 0; i < copy.length; i++) {
    const keep = Math.min(Math.max(bits - i * 8, 0), 8);
    copy[i] = (copy[i] ?? 0) & (0xff00 >> keep);
  }
  return copy;
}

/** "10.0.0.1" → "10.0.0.1/32"; undefined where the text is no address. */
export function hostPrefix(address: string): string | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : `${addressText(bytes)}/${bytes.length * 8}`;
}

/** Bits of a prefix's text, without a check of its address. */
export function prefixLength(text: string): number {
  return Number(text.slice(text.indexOf('/') + 1));
}

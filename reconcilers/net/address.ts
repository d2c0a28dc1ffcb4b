/** Canonical text of an IPv4 or IPv6 address (RFC 5952), made by `parseAddress` only. */
export type Address = string & { readonly brand: 'Address' };

/** Canonical text of a prefix with its host bits zero, as `10.0.0.0/8` or `fd00::/64`; made by `parseCidr` only. */
export type Cidr = string & { readonly brand: 'Cidr' };

export interface ParsedCidr {
  readonly text: Cidr;
  /** 4 or 16 bytes, host bits zero. */
  readonly bytes: Buffer;
  /** Bits, of 32 or 128. */
  readonly length: number;
}

/** @returns 4 or 16 bytes; undefined where the text is no address. IPv4-mapped IPv6 is refused: it is ambiguous. */
export function addressBytes(text: string): Buffer | undefined {
  if (text.length > 45) return undefined;
  if (!text.includes(':')) return ipv4Bytes(text);
  const bytes = ipv6Bytes(text);
  return bytes !== undefined && isMapped(bytes) ? undefined : bytes;
}

/** @returns the canonical text; undefined where the text is no address. */
export function parseAddress(text: string): Address | undefined {
  const bytes = addressBytes(text);
  return bytes === undefined ? undefined : formatAddress(bytes);
}

/** Reads `address/length`; host bits are cleared, as Kubernetes and Cilium do. */
export function parseCidr(text: string): ParsedCidr | undefined {
  const match = /^([0-9a-fA-F:.]{2,45})\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const bytes = match?.[1] === undefined ? undefined : addressBytes(match[1]);
  const length = Number(match?.[2]);
  if (bytes === undefined || length > bytes.length * 8) return undefined;
  return prefixOf(bytes, length);
}

export function prefixOf(address: Buffer, length: number): ParsedCidr {
  const bytes = Buffer.from(address);
  for (let index = 0; index < bytes.length; index++) {
    const kept = Math.min(8, Math.max(0, length - index * 8));
    bytes[index] = (bytes[index] ?? 0) & (0xff00 >> kept) & 0xff;
  }
  return { text: `${formatAddress(bytes)}/${length}` as Cidr, bytes, length };
}

export function contains(outer: ParsedCidr, inner: ParsedCidr): boolean {
  if (outer.bytes.length !== inner.bytes.length || outer.length > inner.length) return false;
  const whole = outer.length >> 3;
  for (let index = 0; index < whole; index++) if (outer.bytes[index] !== inner.bytes[index]) return false;
  const mask = (0xff00 >> (outer.length & 7)) & 0xff;
  return mask === 0 || ((outer.bytes[whole] ?? 0) & mask) === ((inner.bytes[whole] ?? 0) & mask);
}

export function formatAddress(bytes: Buffer): Address {
  return (bytes.length === 4 ? `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` : formatIpv6(bytes)) as Address;
}

/** Without regular expressions: a large cluster has hundreds of thousands of addresses. */
function ipv4Bytes(text: string): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(4);
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let index = 0; index <= text.length; index++) {
    const code = index === text.length ? DOT : text.charCodeAt(index);
    if (code === DOT) {
      if (digits === 0 || value > 255 || part > 3) return undefined;
      bytes[part++] = value;
      digits = 0;
      value = 0;
    } else {
      // A leading zero is refused: some read such numbers as octal.
      if (code < ZERO || code > ZERO + 9 || (digits > 0 && value === 0) || digits === 3) return undefined;
      value = value * 10 + code - ZERO;
      digits++;
    }
  }
  return part === 4 ? bytes : undefined;
}

const DOT = 46;
const ZERO = 48;

function ipv6Bytes(text: string): Buffer | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groups(halves[0] ?? '');
  const tail = halves.length === 2 ? groups(halves[1] ?? '') : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The 16-bit groups of one side of "::"; the last may be a dotted IPv4 address. */
function groups(text: string): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const last = parts.at(-1) ?? '';
  const dotted = last.includes('.') ? ipv4Bytes(last) : undefined;
  if (last.includes('.') && dotted === undefined) return undefined;
  const plain = dotted === undefined ? parts : parts.slice(0, -1);
  if (!plain.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part))) return undefined;
  const numbers = plain.map((part) => Number.parseInt(part, 16));
  return dotted === undefined ? numbers : [...numbers, dotted.readUInt16BE(0), dotted.readUInt16BE(2)];
}

function isMapped(bytes: Buffer): boolean {
  return bytes.readUInt16BE(10) === 0xffff && bytes.subarray(0, 10).every((byte) => byte === 0);
}

function formatIpv6(bytes: Buffer): string {
  const all = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2));
  let start = -1;
  let longest = 1; // RFC 5952: a single zero group is not shortened
  for (let index = 0; index < 8; index++) {
    let run = 0;
    while (index + run < 8 && all[index + run] === 0) run++;
    if (run > longest) {
      start = index;
      longest = run;
    }
    index += run;
  }
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? hex(all) : `${hex(all.slice(0, start))}::${hex(all.slice(start + longest))}`;
}

import { createHash } from 'node:crypto';

/** The first 64 bits of a SHA-256, never 0. */
export function hash64(text: string): bigint {
  const id = createHash('sha256').update(text).digest().readBigUInt64LE();
  return id === 0n ? 1n : id;
}

/** 16 hexadecimal digits, as in the names of policy sets. */
export function hex64(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}

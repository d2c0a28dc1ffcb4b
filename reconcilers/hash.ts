import { createHash } from 'node:crypto';

/** The first 64 bits of a SHA-256, never 0: numbers that derive from content are equal on all replicas. */
export function hash64(content: string): bigint {
  const value = createHash('sha256').update(content).digest().readBigUInt64BE(0);
  return value === 0n ? 1n : value;
}

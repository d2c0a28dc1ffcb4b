import { maskedText, parsePrefix } from './address.ts';

/**
 * The longest of the prefixes in a table that covers a prefix, itself included, by one look-up for each length that
 * the table has.
 *
 * @param lengths prefix lengths that occur in the table, in any order
 */
export function longestMatch<V>(
  prefix: string,
  lengths: Iterable<number>,
  rowAt: (prefix: string) => V | undefined,
): V | undefined {
  const parsed = parsePrefix(prefix);
  if (parsed === undefined) return undefined;
  const candidates = [...lengths].filter((length) => length <= parsed.length).sort((a, b) => b - a);
  for (const length of candidates) {
    const value = rowAt(maskedText({ bytes: parsed.bytes, length }));
    if (value !== undefined) return value;
  }
  return undefined;
}

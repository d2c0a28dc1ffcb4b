import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addressBytes, contains, formatAddress, parseAddress, parseCidr, prefixOf } from './address.ts';

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
  ['2001:db8::1:0:0:1', '2001:db8::1:0:0:1'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
  ['::', '::'],
  ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
])('%s is written %s', (text, canonical) => {
  expect(parseAddress(text)).toBe(canonical);
});

test.each([
  '',
  '1.2.3',
  '1.2.3.4.5',
  '01.2.3.4',
  '256.1.1.1',
  '1..2.3',
  ':::',
  '1::2::3',
  '12345::',
  '::ffff:1.2.3.4',
  'g::',
  '1.2.3.4 ',
])('%j is no address', (text) => {
  expect(parseAddress(text)).toBeUndefined();
});

test('what is formatted is read back as the same bytes', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
      (raw) => {
        const bytes = Buffer.from(raw);
        const read = addressBytes(formatAddress(bytes));
        if (read !== undefined) expect(read.equals(bytes)).toBe(true);
        else expect(bytes.subarray(0, 12).toString('hex')).toBe('00000000000000000000ffff');
      },
    ),
  );
});

test('a CIDR has its host bits cleared and holds what is within it', () => {
  const [outer, inner] = [parseCidr('10.1.2.3/8'), parseCidr('10.255.0.0/17')];
  if (outer === undefined || inner === undefined) throw new Error('no CIDR');
  expect(outer.text).toBe('10.0.0.0/8');
  expect([contains(outer, inner), contains(inner, outer)]).toEqual([true, false]);
  expect(['10.0.0.0/33', '10.0.0.0', '10.0.0.0/08', 'fd00::/129'].map(parseCidr)).toEqual(new Array(4).fill(undefined));
});

test('a CIDR holds another where the leading bits of both are the same', () => {
  const cidr = fc
    .tuple(fc.constantFrom(4, 16), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(128))
    // Few bits set, so that prefixes are often equal.
    .map(([size, raw, length]) =>
      prefixOf(Buffer.from(raw.subarray(0, size).map((byte) => byte & 0x11)), length % (size * 8 + 1)),
    );
  fc.assert(
    fc.property(cidr, cidr, (outer, other) => {
      for (const inner of [other, prefixOf(outer.bytes, Math.min(outer.bytes.length * 8, outer.length + 3))]) {
        const leading = inner.bytes.length === outer.bytes.length && prefixOf(inner.bytes, outer.length).text;
        expect(contains(outer, inner)).toBe(inner.length >= outer.length && leading === outer.text);
      }
    }),
    { numRuns: 1000 },
  );
});

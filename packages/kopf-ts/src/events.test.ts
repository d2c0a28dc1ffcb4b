import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cutTo, microTime } from './events.ts';

test('a note is cut between characters and fits in bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      const cut = cutTo(text, 32);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(32);
      expect(Buffer.from(cut).toString()).toBe(cut);
      if (Buffer.byteLength(text) <= 32) expect(cut).toBe(text);
      else expect(text.startsWith(cut.slice(0, -1))).toBe(true);
    }),
  );
});

test('times have the six digits that MicroTime wants', () => {
  expect(microTime(Date.UTC(2026, 0, 2, 3, 4, 5, 67))).toBe('2026-01-02T03:04:05.067000Z');
});

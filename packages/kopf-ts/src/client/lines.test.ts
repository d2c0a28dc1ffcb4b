import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LineSplitter } from './lines.ts';

test('lines come out whole, wherever the bytes were cut', () => {
  const line = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', ' '));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat({ max: 20 })), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(''));
      const splitter = new LineSplitter();
      const seen: string[] = [];
      let at = 0;
      for (const length of cuts) {
        seen.push(...splitter.push(bytes.subarray(at, at + length)));
        at += length;
      }
      seen.push(...splitter.push(bytes.subarray(at)));
      expect(seen).toEqual(lines.map((each) => Buffer.from(each).toString()).filter((each) => each.trim() !== ''));
    }),
  );
});

test('a line without end is refused before it fills the memory', () => {
  const splitter = new LineSplitter(10);
  splitter.push(Buffer.from('12345678'));
  expect(() => splitter.push(Buffer.from('9abc'))).toThrow('longer than 10 bytes');
});

test('the beginning of a line that has not ended yet is kept back', () => {
  const splitter = new LineSplitter();
  expect(splitter.push(Buffer.from('{"a":'))).toEqual([]);
  expect(splitter.push(Buffer.from('1}\n{'))).toEqual(['{"a":1}']);
});

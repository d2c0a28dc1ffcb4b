import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { toJson, toJsonLine, toYaml } from './output.ts';

const value = {
  name: 'a\u001b[2J\u009b31m\u202eb\u0000\r\nc',
  bidi: 'a\u202eb',
  plain: 'Grüße: 世界 🙂',
  list: [1, true, null, { 'key\u0007': 'x' }],
  tag: '\u{e0041}',
};

test.each([
  ['JSON', toJson, JSON.parse],
  ['a line of JSON', toJsonLine, JSON.parse],
  ['YAML', toYaml, (text: string) => parse(text) as unknown],
] as const)('%s gives back what was put in and holds nothing that steers a terminal', (_name, write, read) => {
  const text = write({ ...value, tag: 'x' });
  expect(text.replaceAll('\n', '')).not.toMatch(/\p{C}/u);
  expect(read(text)).toEqual({ ...value, tag: 'x' });
});

test('characters beyond the first plane are escaped in JSON as the two halves that it knows', () => {
  expect(toJsonLine(value.tag)).toBe('"\\udb40\\udc41"');
  expect(JSON.parse(toJsonLine(value.tag))).toBe(value.tag);
});

test('a line of JSON is one line', () => {
  expect(toJsonLine(value)).not.toContain('\n');
});

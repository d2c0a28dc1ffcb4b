import { expect, test } from '@jest/globals';
import { columns, noPaint, painter, plain } from './text.ts';

const HOSTILE = 'a\u001b]0;owned\u0007\u009b31m\u202egnp.exe\r\nb\u0000';

test('what could steer a terminal is shown as an escape', () => {
  expect(plain(HOSTILE)).toBe('a\\u{1b}]0;owned\\u{7}\\u{9b}31m\\u{202e}gnp.exe\\u{d}\\u{a}b\\u{0}');
  expect(plain('Grüße, 世界 🙂')).toBe('Grüße, 世界 🙂');
});

test('a cell can neither steer the terminal nor break out of its row', () => {
  expect(columns([['NAME'], [HOSTILE]]).split('\n')).toHaveLength(2);
  expect(columns([[{ text: HOSTILE, style: 'bad' }]])).not.toMatch(/[\p{C}]/u);
});

test('columns are as wide as their widest cell, colours count for nothing', () => {
  const rows = [
    ['NODE', 'AGENT', 'VERSION'],
    ['node1', { text: 'connected', style: 'good' }, '0.1.0'],
    ['n', { text: 'AWAY', style: 'bad' }],
  ] as const;
  expect(columns(rows)).toBe(['NODE   AGENT      VERSION', 'node1  connected  0.1.0', 'n      AWAY'].join('\n'));
  expect(columns(rows, (style, text) => `<${style}>${text}`)).toBe(
    ['NODE   AGENT      VERSION', 'node1  <good>connected  0.1.0', 'n      <bad>AWAY'].join('\n'),
  );
});

test('rows that come one by one keep the widths that they are given', () => {
  expect(columns([['a', 'b']], noPaint, [3])).toBe('a    b');
});

test('colours are for terminals, and NO_COLOR and TERM=dumb turn them off', () => {
  expect(painter({ isTTY: true }, {})('bad', 'x')).toBe('\u001b[31mx\u001b[39m');
  expect(painter({ isTTY: true }, { NO_COLOR: '' })('good', 'x')).toBe('\u001b[32mx\u001b[39m');
  expect(painter({ isTTY: true }, { NO_COLOR: '1' })).toBe(noPaint);
  expect(painter({ isTTY: true }, { TERM: 'dumb' })).toBe(noPaint);
  expect(painter({}, {})).toBe(noPaint);
});

import { expect, test } from '@jest/globals';
import { httpMatches } from './cilium/http.ts';
import { expandedSize, expression } from './expression.ts';
import { Problems } from './parse.ts';

function problem(text: string): string | undefined {
  const problems = new Problems();
  expression(text, 'path', problems);
  return problems.list[0]?.message;
}

test.each([
  '/api/v[0-9]+/users/[^/]{1,64}(\\?.*)?',
  '/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
  '(?i)GET|POST',
  '/x{1000}',
  '\\Q/a.b(\\E',
])('%s is taken', (text) => {
  expect(problem(text)).toBeUndefined();
});

test.each([
  // Envoy does not know these, and would refuse the routes of all policies behind the listener.
  ['/\\p{Garay}', /class of Unicode/],
  ['/\\P{Cn}', /class of Unicode/],
  ['/\\Qa\\E\\p{Lc}', /class of Unicode/],
  ['/[\\pL]', /class of Unicode/],
  // Each of these costs re2js a second or more.
  ['x{1000}'.repeat(140), /expands to about 140000 instructions/],
  [`(?:${'a{9}'.repeat(200)}){100}`, /expands to about/],
  ['a'.repeat(1025), /1025 characters/],
  ['/(', /not a regular expression of RE2: missing closing \)/],
  ['/(?=a)', /not a regular expression of RE2/],
  ['/é', /printable ones of ASCII/],
])('%.40s is refused', (text, reason) => {
  const before = performance.now();
  expect(problem(text)).toMatch(reason);
  expect(performance.now() - before).toBeLessThan(500);
});

test.each([
  ['a{3}', 3],
  ['(?:ab){3}c', 13],
  ['((a{2}){3}){4}', 56],
  ['[(]{3}', 3],
  ['\\({3}', 3],
  ['a(?i){3}', 3],
])('%s expands to about %i', (text, size) => {
  expect(expandedSize(text)).toBe(size);
});

test('what one policy may cost in all is bounded, whatever its rules cost each', () => {
  const problems = new Problems();
  for (let entry = 0; entry < 50; entry++) httpMatches([{ path: `/${entry}x{1000}` }], `[${entry}]`, problems);
  expect(problems.list).toEqual([]);
  for (let entry = 0; entry < 50; entry++) httpMatches([{ path: `/${entry}x{1000}` }], `[${entry}]`, problems);
  expect(problems.list[0]?.message).toBe('All regular expressions of the object together are too large; split it.');
  const routes = new Problems();
  const header = (name: string) => ({ name, value: 'v', mismatch: 'ADD' });
  const match = { headerMatches: ['a', 'b', 'c', 'd'].map(header) };
  for (let entry = 0; entry < 2; entry++) httpMatches(Array(200).fill(match), `[${entry}]`, routes);
  expect(routes.list[0]?.message).toBe('All HTTP rules of the policy together are too large; split the policy.');
});

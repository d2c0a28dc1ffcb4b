import { expect, test } from '@jest/globals';
import { memoryOf, parseSmaps } from './proc.ts';

test('resident and proportional memory are read in MiB', () => {
  const text = `55d0a0000000-7ffd00000000 ---p 00000000 00:00 0    [rollup]
Rss:               53248 kB
Pss:               30720 kB
Pss_Dirty:         10240 kB
`;
  expect(parseSmaps(text)).toEqual({ rss: 52, pss: 30 });
});

test('a text without the field is refused, not taken for 0', () => {
  expect(() => parseSmaps('Rss: 1 kB\n')).toThrow('smaps_rollup has no Pss');
});

test('this process has memory', () => {
  const { rss, pss } = memoryOf(process.pid);
  expect(pss).toBeGreaterThan(1);
  expect(rss).toBeGreaterThanOrEqual(pss);
});

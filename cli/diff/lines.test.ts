import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { unifiedDiff } from './lines.ts';

test('places with their lines around, what is removed first', () => {
  const old = Array.from({ length: 12 }, (_, i) => `${i}`);
  const now = old.map((line) => (line === '2' || line === '3' ? `new ${line}` : line)).concat('end');
  const before = { name: 'a', text: old.join('\n') };
  expect(unifiedDiff(before, { name: 'b', text: now.join('\n') })?.split('\n')).toEqual(
    ['--- a', '+++ b', '@@ -1,7 +1,7 @@', ' 0', ' 1', '-2', '-3', '+new 2', '+new 3', ' 4', ' 5', ' 6'].concat([
      '@@ -10,3 +10,4 @@',
      ' 9',
      ' 10',
      ' 11',
      '+end',
    ]),
  );
  expect(unifiedDiff(before, before)).toBeUndefined();
  expect(unifiedDiff({ name: 'a', text: undefined }, { name: 'b', text: 'x' })).toBe(
    '--- /dev/null\n+++ b\n@@ -0,0 +1,1 @@\n+x',
  );
});

const hasPatch = spawnSync('patch', ['--version']).status === 0;

(hasPatch ? test : test.skip)('patch makes the one of the other', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-lines-'));
  const file = join(dir, 'f');
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', '- d', '+ e'), { minLength: 1, maxLength: 25 });
  try {
    fc.assert(
      fc.property(lines, lines, (old, now) => {
        const text = unifiedDiff({ name: 'f', text: old.join('\n') }, { name: 'f', text: now.join('\n') });
        if (text === undefined) {
          expect(old).toEqual(now);
          return;
        }
        writeFileSync(file, `${old.join('\n')}\n`);
        const { status, stdout } = spawnSync('patch', ['--quiet', '-F0', file], {
          input: `${text}\n`,
          encoding: 'utf8',
        });
        expect([status, stdout]).toEqual([0, '']);
        expect(readFileSync(file, 'utf8')).toBe(`${now.join('\n')}\n`);
      }),
      { numRuns: 60 },
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { differences, featuresOf } from './features.ts';
import { newest } from './kernel.ts';

describe('the newest kernel of a version', () => {
  const names = [
    'linux-image-6.1.0-9-cloud-amd64',
    'linux-image-6.1.0-56-cloud-amd64',
    'linux-image-6.1.0-57-cloud-amd64-dbg',
    'linux-image-6.1.0-58-cloud-amd64-unsigned',
    'linux-image-6.1.0-59-amd64',
    'linux-image-6.12.117+deb12-cloud-amd64',
    'linux-image-6.12.94+deb12-cloud-amd64',
    'linux-image-6.12.90+deb13-cloud-amd64',
  ];

  test('is that of the highest build that is a signed cloud kernel', () => {
    expect(newest('6.1', names)).toBe('linux-image-6.1.0-56-cloud-amd64');
    expect(newest('6.12', names)).toBe('linux-image-6.12.117+deb12-cloud-amd64');
    expect(newest('6.6', names)).toBeUndefined();
  });
});

describe('the table of features', () => {
  const table = ['| feature | 6.1 | 6.12 | for |', '| --- | --- | --- | --- |', '| `tcx` | no | yes | links |'].join(
    '\n',
  );

  test('is held against what a kernel has', () => {
    expect(differences(table, '6.12', featuresOf('noise\nFEATURE tcx yes\n'))).toEqual([]);
    expect(differences(table, '6.1', featuresOf('FEATURE tcx yes'))).toEqual([expect.stringContaining('"no"')]);
    expect(differences(table, '6.1', featuresOf('FEATURE tcx no\nFEATURE new yes'))).toEqual([
      expect.stringContaining('new on kernel 6.1'),
    ]);
    expect(differences(table, '6.1', featuresOf(''))).toEqual([expect.stringContaining('the kernel "nothing"')]);
    expect(differences(table, '5.15', featuresOf(''))).toEqual([expect.stringContaining('no column')]);
  });

  test('in docs/kernels.md has a column for each kernel that is tested', () => {
    const text = readFileSync(join(import.meta.dirname, '../../docs/kernels.md'), 'utf8');
    for (const version of ['6.1', '6.12']) {
      expect(differences(text, version, featuresOf(''))).not.toEqual([expect.stringContaining('no column')]);
    }
  });
});

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { scratchDirectory } from '../testing/scratch.ts';

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot(
  'a batch that finds the disk full is an error and leaves no trace; the next one is kept when there is room',
  () => {
    const dir = scratchDirectory();
    const script = join(import.meta.dirname, '../testing/full-disk.ts');
    const room = `mount -t tmpfs -o size=64k tmpfs '${dir}' && exec '${process.execPath}' '${script}' '${dir}'`;
    const env = { ...process.env, NODE_OPTIONS: '' };
    const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', room], { encoding: 'utf8', env });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      refused: expect.stringContaining('ENOSPC'),
      kept: null,
      names: ['service/a/first', 'service/a/last'],
    });
  },
);

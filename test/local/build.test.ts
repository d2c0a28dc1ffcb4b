import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

test('what the set-up can not install is named in one sentence each, with how to get it, and nothing is built', () => {
  // Debian's own programs are here, Go and Rust are not.
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/nonexistent' };
  const { status, stderr, stdout } = spawnSync(process.execPath, [join(import.meta.dirname, 'build.ts')], {
    encoding: 'utf8',
    env,
  });
  const asRoot = process.getuid?.() === 0 ? [] : ['Only root can make network namespaces'];
  const sentences = [
    ...asRoot,
    'Kubernetes is built with Go 1.24 or later',
    'The addon is built with Rust 1.88 or later',
  ];
  const lines = stderr.trim().split('\n');
  expect(lines).toHaveLength(sentences.length);
  for (const [index, sentence] of sentences.entries()) expect(lines[index]).toContain(sentence);
  expect(lines.filter((line) => line.includes('https://'))).toHaveLength(2);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
});

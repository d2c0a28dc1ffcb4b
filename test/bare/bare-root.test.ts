import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BareRoot } from './bare-root.ts';

const checkout = join(import.meta.dirname, '..', '..');
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot('on a bare Debian with only Node, Go and Rust', () => {
  let root: BareRoot;
  beforeAll(async () => {
    root = await BareRoot.make(checkout);
  }, 300_000);
  afterAll(async () => {
    await root?.remove();
  }, 120_000);

  test('the machine starts without what the set-up has to install', async () => {
    const exit = await root.run(
      'for c in clang-16 containerd runc mmdebstrap nft; do command -v $c && exit 1; done; node --version && go version && cargo --version',
    );
    expect(exit).toMatchObject({ code: 0 });
  }, 60_000);

  test('npm run build installs what is missing and builds all that ships', async () => {
    const exit = await root.run('npm run build');
    expect(exit.code === 0 ? '' : exit.output).toBe('');
    for (const file of [
      '.local/dist/agent.mjs',
      '.local/dist/operator.mjs',
      '.local/dist/weft.mjs',
      'datapath-native/dist/weft-cni',
    ]) {
      expect({ file, made: existsSync(join(root.directory, 'src', file)) }).toEqual({ file, made: true });
    }
  }, 1_800_000);
});

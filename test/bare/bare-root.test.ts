import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { acts } from '../../demo/acts.ts';
import { BareRoot } from './bare-root.ts';

const checkout = join(import.meta.dirname, '..', '..');
/** Of each object: whether it is another one, or was changed. */
const identities = '{range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.metadata.generation}{"\\n"}{end}';
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

  test('npm run up installs what is missing, builds all that ships, and the demo goes as its acts say; a second one changes nothing; npm run down ends it', async () => {
    // One script: when it ends, so does the pid namespace that the cluster lives in.
    const script = [
      'npm run up',
      'export KUBECONFIG=$PWD/.local/kubeconfig PATH=$PWD/.local/bin:$PATH',
      'weft status',
      'kubectl weft version',
      `what() { kubectl get replicasets,deployments,daemonsets,services,crds,clusterroles -A -o jsonpath='${identities}'; }`,
      'what > /before',
      'npm run up',
      'what > /after',
      'test -s /before',
      'diff /before /after',
      'npm run down',
    ];
    const exit = await root.run(script.join(' && '));
    expect(exit.code === 0 ? '' : exit.output).toBe('');
    for (const act of acts) expect(exit.output).toContain(`(${act.name}) ${act.title}`);
    expect(exit.output).not.toContain('UNEXPECTED');
    expect(exit.output).toMatch(/✓ remove the cluster/);
    for (const left of ['ledger', 'nodes', 'etcd']) {
      expect({ left, there: existsSync(join(root.directory, 'src', '.local', left)) }).toEqual({ left, there: false });
    }
  }, 2_400_000);
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { goProgram } from './gobuild.ts';
import { capture } from './run.ts';

const text = readFileSync(join(import.meta.dirname, '../../kind-config.yaml'), 'utf8');

/** Decodes by kind's own types, unknown fields refused. */
async function decode(input: string) {
  return capture([join(await goProgram('kindconfig'), 'kindconfig')], { input });
}

test("the kind configuration is valid by kind's v1alpha4 types: no CNI, no kube-proxy, both families", async () => {
  const { code, stdout } = await decode(text);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    nodes: [{ role: 'control-plane' }, { role: 'worker' }, { role: 'worker' }],
    networking: { ipFamily: 'dual', disableDefaultCNI: true, kubeProxyMode: 'none' },
  });
}, 120_000);

test('a field that kind does not know is refused, so that the test above means something', async () => {
  const { code, stderr } = await decode(text.replace('disableDefaultCNI', 'disableDefaultCni'));
  expect(code).toBe(1);
  expect(stderr).toContain('disableDefaultCni');
}, 120_000);

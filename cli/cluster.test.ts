import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { loadConfig, openCluster } from './cluster.ts';

let dir: string;
const at = (name: string): string => join(dir, name);

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'weft-kubeconfig-'));
  const context = (name: string, namespace?: string) => ({
    name,
    context: { cluster: 'c', user: 'u', ...(namespace === undefined ? {} : { namespace }) },
  });
  const config = {
    clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443' } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [context('plain'), context('shop', 'shop')],
  };
  writeFileSync(at('good'), stringify({ ...config, 'current-context': 'plain' }));
  writeFileSync(at('undecided'), stringify(config));
  writeFileSync(at('broken'), 'clusters: {');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('the namespace is that of the context, else default', () => {
  const plain = openCluster({ kubeconfig: at('good') }, {});
  const shop = openCluster({ kubeconfig: at('good'), context: 'shop' }, {});
  expect([plain.namespace, shop.namespace]).toEqual(['default', 'shop']);
  plain.close();
  shop.close();
});

test.each([
  ['a file that is not there', { kubeconfig: 'nothing' }, /there is no kubeconfig at .*nothing: look at --kubeconfig/],
  ['a file that is no kubeconfig', { kubeconfig: 'broken' }, /the kubeconfig .*broken can't be read: /],
  ['no context chosen', { kubeconfig: 'undecided' }, /no current context: choose one with --context \(plain, shop\)/],
  ['an unknown context', { kubeconfig: 'good', context: 'x' }, /no context x: it has plain, shop/],
] as const)('%s', (_name, { kubeconfig, ...rest }, message) => {
  expect(() => loadConfig({ kubeconfig: at(kubeconfig), ...rest }, {})).toThrow(message);
});

test('a file of KUBECONFIG that is not there is named', () => {
  expect(() => loadConfig({}, { KUBECONFIG: `${at('good')}:${at('nothing')}` })).toThrow(
    /there is no kubeconfig at [^:]*nothing: look at the variable KUBECONFIG/,
  );
});

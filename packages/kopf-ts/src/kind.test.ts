import { expect, test } from '@jest/globals';
import { defineKind, keyOf, pathOf, refOf } from './kind.ts';

const pods = defineKind({ group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true });
const routes = defineKind({
  group: 'weft.dev',
  version: 'v1alpha1',
  plural: 'l7routes',
  kind: 'L7Route',
  namespaced: true,
});
const nodes = defineKind({ group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false });

test.each([
  [pathOf(pods, {}), '/api/v1/pods'],
  [pathOf(pods, { namespace: 'shop' }), '/api/v1/namespaces/shop/pods'],
  [pathOf(pods, { namespace: 'shop', name: 'a', subresource: 'status' }), '/api/v1/namespaces/shop/pods/a/status'],
  [pathOf(routes, { namespace: 'shop', name: 'r' }), '/apis/weft.dev/v1alpha1/namespaces/shop/l7routes/r'],
  [pathOf(nodes, { name: 'n1' }), '/api/v1/nodes/n1'],
])('an object lives at %s', (path, expected) => {
  expect(path).toBe(expected);
});

test('a name can not climb out of its place in the path', () => {
  expect(pathOf(nodes, { name: '..' })).toBe('/api/v1/nodes/%2E%2E');
  expect(pathOf(nodes, { name: 'a/b?c' })).toBe('/api/v1/nodes/a%2Fb%3Fc');
});

test('a namespaced object without namespace is refused with its name', () => {
  expect(() => pathOf(pods, { name: 'a' })).toThrow('pods a needs a namespace');
});

test('a key names exactly one object', () => {
  expect(refOf(keyOf({ namespace: 'shop', name: 'api' }))).toEqual({ namespace: 'shop', name: 'api' });
  expect(refOf(keyOf({ name: 'node1' }))).toEqual({ name: 'node1' });
});

import { expect, test } from '@jest/globals';
import { lastOfEach, problemText, titleOf } from './objects.ts';
import { parseObjects } from './read.ts';

const FILE = `# a comment
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: x}
data: {k: v}
---
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    metadata:
      name: b
  - kind: Pod
    metadata: {name: c}
---
- apiVersion: v1
---
x: [1
---
{apiVersion: v1, kind: Pod, metadata: {}}
---
{apiVersion: v1, kind: Pod, metadata: {name: d, namespace: [e]}}
`;

test('several documents and lists are read, and each fault has its place', () => {
  const { objects, problems } = parseObjects('f.yaml', FILE);
  expect(objects.map(({ object }) => titleOf(object))).toEqual(['ConfigMap x/a', 'Pod b']);
  expect(problems.map(problemText)).toEqual([
    'f.yaml:15: error: document 3 is no Kubernetes object: it has no apiVersion',
    'f.yaml:18: error: document 4 is no Kubernetes object: a map with apiVersion, kind and metadata is expected',
    expect.stringMatching(/^f.yaml:2\d: error: document 5 is no YAML: Flow sequence in block collection must be/),
    'f.yaml:22: error: document 6 is no Kubernetes object: it has no metadata.name',
    'f.yaml:24: error: document 7 is no Kubernetes object: its metadata.namespace is no string',
  ]);
});

test('a field has its line; one that is not there that of what it should be in', () => {
  const { objects } = parseObjects('f.yaml', FILE);
  const [a, b] = objects;
  expect([a?.at(''), a?.at('data.k'), a?.at('spec.x[0]')]).toEqual(['f.yaml:2', 'f.yaml:5', 'f.yaml:2']);
  expect([b?.at('metadata.name'), b?.at('metadata.labels["a.b/c"]')]).toEqual(['f.yaml:14', 'f.yaml:14']);
});

test('a bomb of aliases is refused', () => {
  const levels = Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`);
  const { problems } = parseObjects('f.yaml', `a0: &a0 [x]\n${levels.join('\n')}`);
  expect(problems.map(({ message }) => message)).toEqual([
    expect.stringContaining('is no YAML: Excessive alias count'),
  ]);
});

test('of an object that is written twice the last counts', () => {
  const { objects } = parseObjects(
    'f',
    [1, 2].map((n) => `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: ${n}}`).join('\n---\n'),
  );
  const last = lastOfEach(objects);
  expect(last.objects.map(({ object }) => object.spec)).toEqual([2]);
  expect(last.problems.map(problemText)).toEqual(['f:1: warning: Pod a: It is written again at f:3, and that counts.']);
});

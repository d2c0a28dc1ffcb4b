import { expect, test } from '@jest/globals';
import { kinds } from './index.ts';
import { reference } from './reference.ts';

test('the reference has each field with its type, default and meaning, each rule and each example', () => {
  const page = reference(kinds);
  expect(page).toContain('## MeshService');
  expect(page).toContain(
    '| `spec.loadBalancing.algorithm` | `Random`, `Maglev` | `"Random"` | Random picks any backend.',
  );
  expect(page).toContain('| `spec.affinity.timeoutSeconds` | integer, 1 to 86400 |  | How long after');
  expect(page).toContain('| `status.conditions[].reason` | string |');
  expect(page).toContain('- timeoutSeconds is only for type ClientIP; remove it or change type.');
  expect(page).toContain('kind: MeshService');
  expect(
    page
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .every((line) => line.split(/(?<!\\)\|/).length === 6),
  ).toBe(true);
});

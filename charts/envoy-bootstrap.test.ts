import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { envoyFiles } from '../test/local/envoy/binary.ts';
import { bootstrap } from './envoy-bootstrap.ts';

const dir = mkdtempSync(join(tmpdir(), 'weft-bootstrap-'));
let program = '';
beforeAll(async () => {
  ({ program } = await envoyFiles());
}, 120_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function validate(config: object): { readonly status: number | null; readonly stderr: string } {
  const file = join(dir, 'bootstrap.json');
  writeFileSync(file, JSON.stringify(config));
  const args = ['--mode', 'validate', '--config-path', file, '--service-node', 'n', '--service-cluster', 'c'];
  const { status, stderr } = spawnSync(program, [...args, '--log-level', 'warning'], { encoding: 'utf8' });
  return { status, stderr };
}

test('Envoy takes it, and has nothing to warn of', () => {
  expect(validate(bootstrap({ heapBytes: 400 << 20, connections: 50_000 }))).toEqual({ status: 0, stderr: '' });
});

test('Envoy refuses what it does not know, so that the test above means something', () => {
  const { status, stderr } = validate({ ...bootstrap({ heapBytes: 1 << 20, connections: 1 }), dynamic: {} });
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/'dynamic'\) has unknown fields/);
});

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';

// A busy machine starts processes slowly.
jest.setTimeout(120_000);

const weft = (args: readonly string[], environment: NodeJS.ProcessEnv = {}, input = '') => {
  const env = {
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
    ...environment,
  };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    env,
    encoding: 'utf8',
    input,
  });
  return { status, stdout, stderr };
};

test.each([
  ['--help'],
  ['flows', '--help'],
  ['render', '--help'],
  ['policy', 'explain', '--help'],
  ['--version'],
  ['version', '--client'],
])('weft %s %s ends with 0 and says something', (...args) => {
  const { status, stdout, stderr } = weft(args);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).not.toBe('');
});

test.each([
  [['nothing'], "unknown command 'nothing'"],
  [['status', '-o', 'xml'], 'Allowed choices are table, wide, json, yaml'],
  [['flows', '--since', 'x'], 'It is a duration as 30s, 5m or 2h.'],
  [['flows', '--port', '0'], 'It is a number from 1 to 65535.'],
  [['flows', '-f', '--limit', '3'], 'cannot be used with'],
  [['flows', '--status', '4x'], 'It is 403, 4xx or 500-504'],
  [['flows', '--type', 'http'], 'Allowed choices are new, drop, revoked, closed, request'],
  [['render'], "missing required argument 'file'"],
  [['render', '/nonexistent/x.yaml'], "/nonexistent/x.yaml can't be read: ENOENT"],
  [['diff'], "missing required argument 'file'"],
  [['diff', 'x.yaml'], 'there is no kubeconfig'],
  [['wait'], "missing required argument 'kind/name'"],
  [['policy'], 'Usage: weft policy'],
  [['policy', 'explain', 'a'], "missing required argument 'dst:port'"],
  [['completion', 'ksh'], 'Allowed choices are bash, zsh, fish'],
  [['status'], 'there is no kubeconfig: set the variable KUBECONFIG or --kubeconfig'],
  [['version'], 'there is no kubeconfig'],
])('weft %j ends with 2 and a sentence', (args, sentence) => {
  const { status, stderr } = weft(args);
  expect(stderr).toContain(sentence);
  expect(status).toBe(2);
});

test('every command has examples in its help', () => {
  for (const command of [
    ['status'],
    ['flows'],
    ['policy', 'explain'],
    ['wait'],
    ['render'],
    ['version'],
    ['completion'],
  ]) {
    expect(weft([...command, '--help']).stdout).toContain(`Examples:\n  weft ${command.join(' ')}`);
  }
});

test('render reads standard input; what is wrong goes to standard error, and the exit code says so', () => {
  const policy = (spec: object) =>
    JSON.stringify({ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'x' }, spec });
  const select = { endpointSelector: { matchLabels: { app: 'api' } } };
  const good = weft(
    ['render', '-', '-n', 'shop', '-o', 'json'],
    {},
    policy({ ...select, ingress: [{ fromEntities: ['all'] }] }),
  );
  expect([good.status, good.stderr]).toEqual([0, '']);
  expect(JSON.parse(good.stdout)).toMatchObject({
    kind: 'List',
    items: [{ metadata: { name: 'x', namespace: 'shop' } }],
  });
  const bad = weft(['render', '-'], {}, `---\n${policy({ ...select, ingress: [{ fromEntities: ['nobody'] }] })}`);
  expect(bad.status).toBe(1);
  expect(bad.stdout).toContain('kind: CiliumNetworkPolicy');
  expect(bad.stderr).toMatch(
    /^stdin:2: error: CiliumNetworkPolicy default\/x spec\.ingress\[0\]\.fromEntities\[0\]: The entity "nobody" is not supported/,
  );
});

test('below kubectl it calls itself as it was called', () => {
  expect(weft(['flows', '--help'], { WEFT_COMMAND: 'kubectl weft' }).stdout).toContain(
    '  kubectl weft flows --verdict dropped',
  );
});

test('the version for programs', () => {
  expect(JSON.parse(weft(['version', '--client', '-o', 'json']).stdout)).toEqual({ client: '0.1.0' });
});

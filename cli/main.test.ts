import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';

// A busy machine starts processes slowly.
jest.setTimeout(120_000);

const weft = (args: readonly string[], environment: NodeJS.ProcessEnv = {}) => {
  const env = {
    PATH: process.env.PATH,
    HOME: '/nonexistent',
    NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
    ...environment,
  };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    env,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
};

test.each([['--help'], ['flows', '--help'], ['policy', 'explain', '--help'], ['--version'], ['version', '--client']])(
  'weft %s %s ends with 0 and says something',
  (...args) => {
    const { status, stdout, stderr } = weft(args);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).not.toBe('');
  },
);

test.each([
  [['nothing'], "unknown command 'nothing'"],
  [['status', '-o', 'xml'], 'Allowed choices are table, wide, json, yaml'],
  [['flows', '--since', 'x'], 'It is a duration as 30s, 5m or 2h.'],
  [['flows', '--port', '0'], 'It is a number from 1 to 65535.'],
  [['flows', '-f', '--limit', '3'], 'cannot be used with'],
  [['flows', '--status', '4x'], 'It is 403, 4xx or 500-504'],
  [['flows', '--type', 'http'], 'Allowed choices are new, drop, revoked, closed, request'],
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
  for (const command of [['status'], ['flows'], ['policy', 'explain'], ['wait'], ['version'], ['completion']]) {
    expect(weft([...command, '--help']).stdout).toContain(`Examples:\n  weft ${command.join(' ')}`);
  }
});

test('below kubectl it calls itself as it was called', () => {
  expect(weft(['flows', '--help'], { WEFT_COMMAND: 'kubectl weft' }).stdout).toContain(
    '  kubectl weft flows --verdict dropped',
  );
});

test('the version for programs', () => {
  expect(JSON.parse(weft(['version', '--client', '-o', 'json']).stdout)).toEqual({ client: '0.1.0' });
});

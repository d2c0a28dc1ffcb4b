import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { weftProgram } from '../program.ts';
import { complete } from './complete.ts';
import { completionScript, shells } from './scripts.ts';

// A busy machine starts processes slowly.
jest.setTimeout(120_000);

const program = weftProgram('weft', async () => undefined);
const after = (line: string): string[] => complete(program, line.split(' '));

test.each([
  ['', ['completion', 'diff', 'flows', 'help', 'policy', 'render', 'status', 'version', 'wait']],
  ['st', ['status']],
  ['policy ', ['explain', 'help']],
  ['--context c policy e', ['explain']],
  ['completion ', ['bash', 'fish', 'zsh']],
  ['completion bash ', []],
  ['flows --verdict ', ['allowed', 'denied', 'dropped', 'failed', 'forwarded', 'revoked']],
  ['flows --verdict f', ['failed', 'forwarded']],
  ['flows --type re', ['request', 'revoked']],
  ['flows --output=y', ['--output=yaml']],
  ['render x.yaml -o ', ['json', 'yaml']],
  ['status -o ', ['json', 'table', 'wide', 'yaml']],
  ['flows --f', ['--follow']],
  ['flows --follow --k', ['--kubeconfig']],
  ['flows --pod ', []],
  ['flows --pod st', []],
  ['nothing', []],
])('after "weft %s" may come %j', (line, expected) => {
  expect(after(line)).toEqual(expected);
});

test('all flags of a command are offered, with those of the whole program', () => {
  expect(after('version -')).toEqual(['--client', '--context', '--help', '--kubeconfig', '--output', '--version']);
});

describe('bash', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'weft-completion-'));
    const weft = join(dir, 'weft');
    const main = join(import.meta.dirname, '..', 'main.ts');
    writeFileSync(weft, `#!/bin/sh\nNODE_OPTIONS= exec '${process.execPath}' '${main}' "$@"\n`);
    chmodSync(weft, 0o755);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  /** What bash would offer; `words` as it splits the line. */
  const offered = (line: string, words: readonly string[]): string[] => {
    const set = `COMP_LINE=$1; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))`;
    const script = `source <(weft completion bash); ${set}; _weft; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { ...process.env, PATH: `${dir}${delimiter}${process.env.PATH ?? ''}` };
    const text = execFileSync('bash', ['-c', script, 'bash', line, ...words], { env, encoding: 'utf8' });
    return text.split('\n').filter((one) => one !== '');
  };

  test('offers commands, choices, and choices behind an equals sign', () => {
    expect(offered('weft po', ['weft', 'po'])).toEqual(['policy']);
    expect(offered('weft policy ', ['weft', 'policy', ''])).toEqual(['explain', 'help']);
    expect(offered('weft flows --verdict=dr', ['weft', 'flows', '--verdict', '=', 'dr'])).toEqual(['dropped']);
    expect(offered('weft status --output=', ['weft', 'status', '--output', '='])).toEqual([
      'json',
      'table',
      'wide',
      'yaml',
    ]);
  });
});

test.each(shells)('the script for %s is one that the shell can read', (shell) => {
  const script = completionScript(shell, 'weft');
  expect(script).not.toContain('NAME');
  const parsed = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' });
  // A shell that is not installed can't be asked.
  if (parsed.error === undefined) expect([parsed.status, parsed.stderr]).toEqual([0, '']);
});

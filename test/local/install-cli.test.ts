import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { installCli } from './install-cli.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "weft it's "));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A program that says how it was called. */
function echoBundle(word: string): string {
  const path = join(dir, `${word}.mjs`);
  const said = `JSON.stringify([${JSON.stringify(word)}, process.env.WEFT_COMMAND ?? '', ...process.argv.slice(2)])`;
  writeFileSync(path, `console.log(${said});\n`);
  return path;
}

const PATH = process.env.PATH ?? '';
const call = (name: string, ...args: string[]): string =>
  execFileSync(name, args, { env: { PATH: `${join(dir, 'bin')}${delimiter}${PATH}` }, encoding: 'utf8', cwd: '/' });

test('weft and kubectl-weft run the bundle with all arguments as they are, from any directory', () => {
  installCli(join(dir, 'bin'), process.execPath, echoBundle('one'));
  expect(JSON.parse(call('weft', 'flows', '--pod', 'a b', "$(id) '\"'", ''))).toEqual([
    'one',
    '',
    'flows',
    '--pod',
    'a b',
    "$(id) '\"'",
    '',
  ]);
  expect(JSON.parse(call('kubectl-weft', 'status'))).toEqual(['one', 'kubectl weft', 'status']);
});

test('kubectl gets completions and that files are none', () => {
  installCli(join(dir, 'bin'), process.execPath, echoBundle('one'));
  const [words, directive] = call('kubectl_complete-weft', 'st').trimEnd().split('\n');
  expect(JSON.parse(words ?? '')).toEqual(['one', '', '__complete', '--', 'st']);
  expect(directive).toBe(':4');
});

test('a second time they are replaced, and nothing else is left behind', () => {
  installCli(join(dir, 'bin'), process.execPath, echoBundle('one'));
  const paths = installCli(join(dir, 'bin'), process.execPath, echoBundle('two'));
  expect(JSON.parse(call('weft'))).toEqual(['two', '']);
  expect(
    readdirSync(join(dir, 'bin'))
      .map((name) => join(dir, 'bin', name))
      .sort(),
  ).toEqual([...paths].sort());
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { takeDown } from './down.ts';
import { createLedger, ledgerFile, openLedger, parseLedger, readLedger } from './ledger.ts';
import { isAlive, launch, signal, startTime } from './processes.ts';
import { until } from './wait.ts';

const parents: string[] = [];
function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'weft-ledger-'));
  parents.push(dir);
  return dir;
}
afterEach(() => {
  for (const dir of parents.splice(0)) rmSync(dir, { recursive: true, force: true });
});

test('a line that was cut while it was written is ignored, any other malformed one is named', () => {
  const line = '{"kind":"link","name":"a"}';
  expect(parseLedger(`${line}\n{"kind":"li`, 'ledger')).toEqual([{ kind: 'link', name: 'a' }]);
  expect(() => parseLedger(`${line}\nnonsense\n${line}\n`, '/x/ledger')).toThrow('/x/ledger:2 is not an entry');
  expect(() => parseLedger('{"kind":"cgroup","path":"/"}\n', '/x/ledger')).toThrow('/x/ledger:1');
});

test('a program does not begin before the ledger names it', async () => {
  const dir = join(scratch(), 'cluster');
  const ledger = createLedger(dir, 'test');
  const seen = join(dir, 'seen');
  const entry = await launch(ledger, {
    name: 'program',
    argv: ['sh', '-c', `cp ${ledger.file} ${seen}; exec sleep 60`],
    log: join(dir, 'log'),
  });
  await until('the program', () => existsSync(seen) && readFileSync(seen, 'utf8').endsWith('\n'));
  expect(parseLedger(readFileSync(seen, 'utf8'), seen)).toContainEqual(entry);
  expect(isAlive(entry)).toBe(true);
  await takeDown(dir);
  expect(isAlive(entry)).toBe(false);
});

test('a process that got the pid of a recorded one is left alone', async () => {
  const other = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(other, 'spawn');
  const pid = other.pid ?? 0;
  const dir = join(scratch(), 'cluster');
  createLedger(dir, 'test').append({ kind: 'process', name: 'gone', pid, start: '1' });
  expect(signal({ pid, start: '1' }, 'SIGKILL')).toBe(false);
  await takeDown(dir);
  expect(startTime(pid)).toBeDefined();
  other.kill('SIGKILL');
});

test('down removes what is listed and nothing beside it', async () => {
  const parent = scratch();
  const dir = join(parent, 'made', 'cluster');
  const ledger = createLedger(dir, 'test');
  ledger.append({ kind: 'path', path: join(dir, 'nodes') });
  mkdirSync(join(dir, 'nodes', 'deep'), { recursive: true });
  expect(await takeDown(dir)).toBe(true);
  expect(existsSync(join(parent, 'made'))).toBe(false);
  expect(await takeDown(dir)).toBe(false);
  createLedger(dir, 'test');
  writeFileSync(join(dir, 'notes'), 'mine');
  await takeDown(dir);
  expect(existsSync(join(dir, 'notes'))).toBe(true);
  expect(existsSync(ledgerFile(dir))).toBe(false);
});

test('processes and cgroups of an earlier boot are not looked for', async () => {
  const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
  await once(sleeper, 'spawn');
  const pid = sleeper.pid ?? 0;
  const dir = scratch();
  const ledger = openLedger(dir);
  ledger.append({ kind: 'cluster', version: 1, name: 'test', boot: 'another' });
  ledger.append({ kind: 'process', name: 'same', pid, start: startTime(pid) ?? '' });
  expect(readLedger(dir)).toHaveLength(2);
  await takeDown(dir);
  expect(startTime(pid)).toBeDefined();
  sleeper.kill('SIGKILL');
});

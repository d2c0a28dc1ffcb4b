/** `npm test`: every suite in turn except those that take long, then one line "N passed, N failed". `npm test -- unit e2e`
 * runs only those; `npm test -- --list` names all. A suite that can't start counts as one failed test. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Counts, countCargo, countJest, none, sum } from './counts.ts';
import { knownSkips } from './skips.ts';
import { type Suite, suites } from './suites.ts';

const root = join(import.meta.dirname, '..');
const logs = join(root, '.local', 'test');

interface Exit {
  readonly code: number | null;
  readonly output: string;
}

function execute(command: readonly string[], env: Readonly<Record<string, string>>, logFile: string): Promise<Exit> {
  return new Promise((resolve) => {
    const [program = 'false', ...args] = command;
    const log = createWriteStream(logFile);
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const take = (chunk: Buffer): void => {
      log.write(chunk);
      output = (output + chunk.toString('utf8')).slice(-200_000);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => resolve({ code: null, output: `${output}\n${error.message}` }));
    child.on('close', (code) => log.end(() => resolve({ code, output })));
  });
}

async function count(suite: Suite, exit: Exit, jsonFile: string): Promise<Counts> {
  if (suite.kind === 'command') return exit.code === 0 ? { ...none, passed: 1 } : { ...none, failed: 1 };
  const counts =
    suite.kind === 'cargo'
      ? countCargo(exit.output)
      : countJest(await readFile(jsonFile, 'utf8').catch(() => ''), root);
  const silent = exit.code !== 0 && counts.failed === 0;
  return silent ? { ...counts, failed: 1 } : counts;
}

async function run(suite: Suite): Promise<Counts> {
  const started = Date.now();
  const json = join(logs, `${suite.name}.json`);
  await rm(json, { force: true });
  const log = join(logs, `${suite.name}.log`);
  process.stdout.write(`${suite.name}: ${suite.what}\n`);
  const exit = await execute(
    suite.command({ json, workers: Math.min(2, availableParallelism()) }),
    suite.env ?? {},
    log,
  );
  const counts = await count(suite, exit, json);
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  process.stdout.write(
    `  ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped in ${seconds} s\n`,
  );
  if (counts.failed > 0)
    process.stdout.write(`${counts.failures || exit.output.slice(-8_000)}\n  whole output: ${log}\n`);
  return counts;
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { list: { type: 'boolean' } } });
if (values.list) {
  for (const suite of suites) process.stdout.write(`${suite.name.padEnd(12)} ${suite.what}\n`);
  process.exit(0);
}
const unknown = positionals.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  process.stderr.write(`no suite is called ${unknown.join(', ')}; there are ${suites.map((s) => s.name).join(', ')}\n`);
  process.exit(2);
}
await mkdir(logs, { recursive: true });
let total = none;
for (const suite of suites) {
  const wanted = positionals.length === 0 ? !suite.onlyNamed : positionals.includes(suite.name);
  if (wanted) total = sum(total, await run(suite));
}
const skips = knownSkips(total.skipped);
for (const skip of total.skipped) process.stdout.write(`skipped: ${skip}\n`);
if (process.env['CI'] !== undefined && skips.unknown.length > 0) {
  for (const skip of skips.unknown)
    process.stdout.write(`failed: skipped without a reason in test/skips.ts: ${skip}\n`);
  total = { ...total, failed: total.failed + skips.unknown.length };
}
process.stdout.write(`${total.skipped.length} skipped, ${skips.unknown.length} of them without a listed reason\n`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

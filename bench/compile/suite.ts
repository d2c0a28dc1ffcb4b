/** What it costs to compile a large cluster, and one change to it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Result } from '../result.ts';
import { compare, type Pair, quantile } from '../statistics.ts';
import { type ChangeKind, changeKinds } from './changes.ts';
import type { Load, Rounds } from './child.ts';

const run = promisify(execFile);
const suite = 'compile';
const wanted = 20;

/** Changes in a round: enough for a 99th percentile; a change that reaches every node takes longer. */
const roundSize: Record<ChangeKind, number> = { pod: 600, endpoint: 600, policy: 300, 'policy-everywhere': 30 };

/** A process of its own for each, pinned, so that none inherits the heap of another. */
async function child(...args: readonly string[]): Promise<string> {
  const script = join(import.meta.dirname, 'child.ts');
  const { stdout } = await run('taskset', ['-c', '1', process.execPath, script, ...args]);
  return stdout;
}

async function load(what: 'plain' | 'weft'): Promise<Load> {
  return JSON.parse(await child(what));
}

/** Baseline: the same facts translated and put into Maps. */
async function loads(): Promise<readonly Result[]> {
  const plain = [await load('plain')];
  const weft: Load[] = [];
  for (let pair = 0; pair < wanted; pair++) {
    weft.push(await load('weft'));
    plain.push(await load('plain'));
  }
  const compared = (of: (one: Load) => number) => {
    const at = (index: number): number => of(plain[index] ?? { seconds: Number.NaN, memory: Number.NaN });
    return compare(weft.map((one, i): Pair => ({ before: at(i), variant: of(one), after: at(i + 1) })));
  };
  return [
    { suite, case: 'load', metric: 'time', unit: 's', ...compared(({ seconds }) => seconds) },
    { suite, case: 'load', metric: 'memory', unit: 'MiB', ...compared(({ memory }) => memory) },
  ];
}

/**
 * Baseline: compiling the whole cluster again, measured once in the same process; the ratio is over the rounds, each with
 * its own quantile. The figure is the rounds' median, so that another's use of the processor in one of them counts little.
 */
async function changed(kind: ChangeKind): Promise<readonly Result[]> {
  const { fromScratch, rounds }: Rounds = JSON.parse(await child(kind, String(wanted), String(roundSize[kind])));
  return ([0.5, 0.99] as const).map((q): Result => {
    const pairs = rounds.map((ms): Pair => ({ before: fromScratch, variant: quantile(ms, q), after: fromScratch }));
    return { suite, case: kind, metric: q === 0.5 ? 'p50' : 'p99', unit: 'ms', ...compare(pairs) };
  });
}

export async function runCase(one: string): Promise<readonly Result[]> {
  const kind = changeKinds.find((name) => name === one);
  return kind === undefined ? loads() : changed(kind);
}

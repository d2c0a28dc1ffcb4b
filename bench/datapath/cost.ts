/** What one packet costs in each program, from BPF_PROG_TEST_RUN: for intervals that are wider than a goal needs. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { alone, type Result } from '../result.ts';

const run = promisify(execFile);
/** As datapath-native/tests/datapath/measure.rs does it: the least of so many averages. */
const rounds = 2000;

/** Reads lines as "IPv4, same node: 123 ns a packet". */
export function readCosts(output: string): readonly Result[] {
  const all = [...output.matchAll(/^(IPv[46], [^:]+): (\d+) ns a packet$/gm)].map(([, name = '', ns]) =>
    alone('datapath', `cost (${name})`, 'cost', 'ns/packet', Number(ns), rounds),
  );
  if (all.length === 0) throw new Error(`no cost was measured; the test said: ${output.slice(-2_000)}`);
  return all;
}

export async function costs(): Promise<readonly Result[]> {
  const cwd = join(import.meta.dirname, '..', '..', 'datapath-native');
  const args = ['test', '--locked', '--test', 'datapath', 'measure_established', '--', '--ignored', '--nocapture'];
  const { stdout } = await run('cargo', args, { cwd, maxBuffer: 1 << 24 });
  return readCosts(stdout);
}

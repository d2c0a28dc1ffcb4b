/** Memory of Weft's processes, beside that of Node itself on a script of one line. */
import { BenchNode } from '../agent/bench-node.ts';
import type { Request } from '../agent/protocol.ts';
import type { Result } from '../result.ts';
import { compare, type Pair } from '../statistics.ts';
import { BenchOperator, bareMemory } from './operator.ts';
import type { Memory } from './proc.ts';

const suite = 'memory';
const wanted = 20;
type Take = () => Promise<Memory>;

/** Both figures come from the same processes, so they are taken together. */
async function interleaved(name: string, baseline: Take, variant: Take): Promise<Result[]> {
  const bare = [await baseline()];
  const weft: Memory[] = [];
  while (weft.length < wanted) {
    weft.push(await variant());
    bare.push(await baseline());
  }
  return (['rss', 'pss'] as const).map((field): Result => {
    const at = (index: number): number => bare[index]?.[field] ?? Number.NaN;
    const pairs = weft.map((one, i): Pair => ({ before: at(i), variant: one[field], after: at(i + 1) }));
    const label = field === 'rss' ? name : `${name} (PSS)`;
    return { suite, case: label, metric: 'memory', unit: 'MiB', ...compare(pairs) };
  });
}

async function agent(name: string, pods: number, services: number): Promise<Result[]> {
  const node = await BenchNode.start(pods, services);
  const take =
    (request: Request): Take =>
    async () => {
      const { rss = Number.NaN, pss = Number.NaN } = await node.askAll(request);
      return { rss, pss };
    };
  try {
    return await interleaved(name, take('bare-memory'), take('agent-memory'));
  } finally {
    await node.stop();
  }
}

async function operator(name: string): Promise<Result[]> {
  const one = await BenchOperator.start();
  try {
    return await interleaved(name, bareMemory, () => one.memory());
  } finally {
    await one.stop();
  }
}

export function runCase(one: string): Promise<readonly Result[]> {
  if (one === 'operator') return operator(one);
  return one === 'agent' ? agent(one, 100, 10_000) : agent(one, 0, 0);
}

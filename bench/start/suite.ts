/** How long an agent takes from the start of its process on an empty bpffs until the kernel holds its node's state. */
import { BenchNode } from '../agent/bench-node.ts';
import type { Result } from '../result.ts';
import { interleave } from '../statistics.ts';

const wanted = 20;
const pods = 100;
const services = 100;

/** Baseline: Node until it runs a script of one line. */
export async function runCase(one: string): Promise<readonly Result[]> {
  const node = await BenchNode.start(pods, services);
  const seconds = async (request: 'bare-start' | 'agent-start'): Promise<number> =>
    (await node.ask(request, 'ms')) / 1000;
  try {
    await seconds('agent-start');
    const result = await interleave(
      wanted,
      () => seconds('bare-start'),
      () => seconds('agent-start'),
    );
    return [{ suite: 'start', case: one, metric: 'time', unit: 's', ...result }];
  } finally {
    await node.stop();
  }
}

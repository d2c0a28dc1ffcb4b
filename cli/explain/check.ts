/** The second opinion: what the policies say, read from the API server's objects. */
import { type Fact, type Simulation, simulate } from '../../reconcilers/index.ts';
import type { Verdict } from './combine.ts';
import type { Protocol } from './target.ts';

export interface Probe {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** The directions in which the simulator and the kernel disagree, each as a sentence; none: they agree. */
export function disagreements(facts: readonly Fact[], probe: Probe, kernel: Verdict): string[] {
  const { from, to, port, protocol } = probe;
  const simulated = simulate(facts, { from: { address: from }, to: { address: to }, port, protocol });
  return (['egress', 'ingress'] as const).flatMap((direction) => {
    const side = kernel[direction];
    // What Envoy decides is no verdict of the kernel's.
    if (side.reason === 'http') return [];
    const expected = verdictOf(simulated, direction);
    if (expected === side.verdict) return [];
    const by = simulated[direction]?.rule?.policy ?? simulated[direction]?.defaultDeny.join(', ') ?? '';
    return [
      `${from} to ${to}, ${direction}: the kernel of ${side.node ?? 'no node'} says ${side.verdict}, ` +
        `but by the objects in the API server it should be ${expected}${by === '' ? '' : ` (${by})`}; ` +
        'a change may be on its way (weft status), else this is a bug of Weft',
    ];
  });
}

function verdictOf(simulation: Simulation, direction: 'egress' | 'ingress'): 'allowed' | 'denied' {
  return simulation[direction]?.verdict === 'deny' ? 'denied' : 'allowed';
}

/** From a policy's new text, before it is compiled, until a request is served by it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { alone, type Result } from '../result.ts';
import { quantile } from '../statistics.ts';
import type { Lab } from './lab.ts';
import { ports, type SharedProxy, sharedProxy } from './proxies.ts';

const routes = 1000;
const changes = 100;
/** Requests a second meanwhile, on so many connections. */
const load = { rate: 5000, connections: 64 } as const;

/** The last of the routes is the one that changes; the load takes the first. */
const rules = (path: string) => [
  { method: 'GET', path: '/load' },
  ...Array.from({ length: routes - 2 }, (_, index) => ({ method: 'GET', path: `/shop/items/${index}` })),
  { method: 'GET', path },
];

/** ms. */
interface Change {
  readonly served: number;
  /** The part of translating and compiling the policy. */
  readonly compiled: number;
}

async function change(shared: SharedProxy, probe: (path: string) => Promise<void>, name: string): Promise<Change[]> {
  const took: Change[] = [];
  for (let index = 0; index < changes; index++) {
    await sleep(50);
    const path = `/${name}/${index}`;
    const served = probe(path);
    const began = performance.now();
    shared.compiled.put({ name: 'http', ports: [ports.http, ports.http + 1], http: rules(path) });
    const compiled = performance.now() - began;
    shared.update();
    await served;
    took.push({ served: performance.now() - began, compiled });
  }
  return took;
}

export async function routeChange(lab: Lab): Promise<readonly Result[]> {
  const shared = await sharedProxy(lab, rules('/first'));
  const { from } = shared.recorded;
  const to = shared.recorded.to('h1');
  const probe = lab.probe(from, to);
  const result = (name: string, took: readonly Change[]): Result[] =>
    (['served', 'compiled'] as const).flatMap((part) =>
      (['p50', 'p99'] as const).map((metric) => {
        const value = quantile(
          took.map((one) => one[part]),
          metric === 'p50' ? 0.5 : 0.99,
        );
        return alone('l7', `route-change (${name}, ${part})`, metric, 'ms', value, took.length);
      }),
    );
  const quiet = await change(shared, probe, 'quiet');
  // Longer than the changes take on any machine that keeps up.
  const seconds = (changes * 50 + quiet.reduce((sum, { served }) => sum + served, 0) * 2) / 1000 + 5;
  const underLoad = lab.load({ from, protocol: 'h1', to, seconds, ...load });
  await sleep(1000);
  const loaded = await change(shared, probe, 'loaded');
  const { requests, errors, p99_us, error } = await underLoad;
  if (error !== undefined) process.stderr.write(`the first request that failed: ${error}\n`);
  return [
    ...result('without load', quiet),
    ...result(`${load.rate}/s`, loaded),
    alone('l7', 'route-change (requests)', 'rate', '1/s', requests / seconds, 1),
    alone('l7', 'route-change (requests)', 'p99', 'ms', p99_us / 1000, requests),
    alone('l7', 'route-change (failed requests)', 'count', '', errors, requests),
  ];
}

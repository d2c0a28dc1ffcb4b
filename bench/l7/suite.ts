/** Requests through the node's Envoy against sidecars, a bare Envoy, and nothing. */
import { onEnd } from '../cleanup.ts';
import { alone, type Result } from '../result.ts';
import { interleave } from '../statistics.ts';
import { Lab, type Load, type Placement, type Protocol, protocols } from './lab.ts';
import { bareProxy, type Path, sharedProxy, sidecars } from './proxies.ts';
import { routeChange } from './route-change.ts';

const seconds = 0.4;
const pairs = 12;

interface Shape {
  readonly protocol: Protocol;
  readonly connections: number;
}

const shapes: readonly Shape[] = protocols.flatMap((protocol) =>
  [1, 16, 256].map((connections) => ({ protocol, connections })),
);
/** With 256 that all ask at once it is how many are answered that makes the latency. */
const fewConnections = shapes.filter(({ connections }) => connections < 256);
/** Each hop costs a wake-up, which weighs as on a node only where the scheduler places the processes. */
const asScheduled: Placement = { ends: '0,1', proxies: '0,1' };

function ask(lab: Lab, path: Path, { protocol, connections }: Shape): Promise<Load> {
  return lab.load({ from: path.from, protocol, to: path.to(protocol), connections, seconds, pids: path.pids });
}

const rate = ({ requests, seconds: took }: Load): number => requests / took;
const perCpuSecond = ({ requests, cpu_us }: Load): number => requests / (cpu_us / 1e6);
const p50 = ({ p50_us }: Load): number => p50_us / 1000;

/** Compares two ways of requests in each shape; what failed is told and counted. */
async function eachShape(
  lab: Lab,
  name: string,
  metric: Result['metric'],
  unit: string,
  baseline: (shape: Shape) => Promise<number>,
  variant: (shape: Shape) => Promise<number>,
  of = shapes,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const shape of of) {
    await variant(shape);
    const result = await interleave(
      pairs,
      () => baseline(shape),
      () => variant(shape),
    );
    const title = `${name} (${shape.protocol}, ${shape.connections})`;
    process.stderr.write(`l7 ${title}: ${result.ratio.toFixed(3)}\n`);
    results.push({ suite: 'l7', case: title, metric, unit, ...result });
    const { count, first } = lab.failures();
    if (count === 0) continue;
    process.stderr.write(`${count} requests failed, the first: ${first}\n`);
    results.push(alone('l7', `${title}, failed requests`, 'count', '', count, result.runs));
  }
  return results;
}

const cases: Readonly<Record<string, (lab: Lab) => Promise<readonly Result[]>>> = {
  'shared-vs-sidecars': async (lab) => {
    const { recorded } = await sharedProxy(lab);
    const { through } = await sidecars(lab);
    return eachShape(
      lab,
      'shared-vs-sidecars',
      'rate',
      '1/CPU-s',
      async (shape) => perCpuSecond(await ask(lab, through, shape)),
      async (shape) => perCpuSecond(await ask(lab, recorded, shape)),
    );
  },
  'shared-vs-bare': async (lab) => {
    const { recorded } = await sharedProxy(lab);
    const bare = await bareProxy(lab);
    return eachShape(
      lab,
      'shared-vs-bare',
      'rate',
      '1/CPU-s',
      async (shape) => perCpuSecond(await ask(lab, bare, shape)),
      async (shape) => perCpuSecond(await ask(lab, recorded, shape)),
    );
  },
  'p50-added': async (lab) => {
    const { recorded } = await sharedProxy(lab);
    const { through, direct } = await sidecars(lab);
    const added = async (path: Path, shape: Shape) =>
      p50(await ask(lab, path, shape)) - p50(await ask(lab, direct, shape));
    return eachShape(
      lab,
      'p50-added',
      'p50',
      'ms',
      (shape) => added(through, shape),
      (shape) => added(recorded, shape),
      fewConnections,
    );
  },
  'record-cost': async (lab) => {
    const { envoy, recorded, quiet } = await sharedProxy(lab);
    const results = await eachShape(
      lab,
      'record-cost',
      'rate',
      '1/s',
      async (shape) => rate(await ask(lab, quiet, shape)),
      async (shape) => rate(await ask(lab, recorded, shape)),
    );
    const { decoded, lost } = envoy.recorded;
    process.stderr.write(`access records: ${decoded} decoded, ${lost} lost\n`);
    if (decoded === 0) throw new Error('no access record arrived: what was measured is not their cost');
    return results;
  },
  'no-rule': async (lab) => {
    const { open } = await sharedProxy(lab);
    const topology = await lab.topology('none', undefined, [9020]);
    await lab.weft(topology, [{ port: 9020 }, { port: 9021 }]);
    const none: Path = { ...open, from: topology.client, pids: [] };
    return eachShape(
      lab,
      'no-rule',
      'rate',
      '1/s',
      async (shape) => rate(await ask(lab, none, shape)),
      async (shape) => rate(await ask(lab, { ...open, pids: [] }, shape)),
    );
  },
  'route-change': routeChange,
};

export async function runCase(one: string): Promise<readonly Result[]> {
  const lab = await Lab.make(one === 'p50-added' ? asScheduled : undefined);
  const close = onEnd(() => lab.close());
  try {
    return (await cases[one]?.(lab)) ?? [];
  } finally {
    await close();
  }
}

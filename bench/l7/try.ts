import { spawn, spawnSync } from 'node:child_process';
import { onEnd, undoAll, undoOnSignals } from '../cleanup.ts';
import { Lab } from './lab.ts';
import { sharedProxy } from './proxies.ts';

undoOnSignals();
const lab = await Lab.make();
onEnd(() => lab.close());
try {
  const shared = await sharedProxy(lab);
  for (let i = 0; i < 3; i++)
    for (const [name, p] of [
      ['quiet', shared.quiet],
      ['recorded', shared.recorded],
    ] as const) {
      const each = [] as string[];
      const [envoy = 0, sup = 0] = shared.envoy.pids;
      const run = (pids: number[]) =>
        lab.load({ from: p.from, protocol: 'h1', to: p.to('h1'), connections: 16, seconds: 1.5, pids });
      for (const [who, pids] of [
        ['envoy', [envoy]],
        ['supervisor', [sup]],
        ['bench', [process.pid]],
      ] as const) {
        const r = await run([...pids]);
        each.push(`${who} ${(r.cpu_us / r.requests).toFixed(2)} us/rq at ${Math.round(r.requests / r.seconds)}/s`);
      }
      console.log(name, each.join(', '));
    }
  const p = shared.recorded;
  const load = lab.load({ from: p.from, protocol: 'h1', to: p.to('h1'), connections: 16, seconds: 4, pids: [] });
  const perf = spawn(
    'perf',
    [
      'record',
      '-q',
      '-e',
      'cpu-clock',
      '-F',
      '999',
      '-o',
      '/tmp/wt-bench-out/perf.data',
      '-p',
      shared.envoy.pids.join(','),
      '--',
      'sleep',
      '3',
    ],
    { stdio: 'inherit' },
  );
  await new Promise((r) => perf.on('exit', r));
  await load;
} catch (e) {
  console.log(e);
} finally {
  await undoAll();
}
console.log(
  spawnSync(
    'perf',
    [
      'report',
      '-i',
      '/tmp/wt-bench-out/perf.data',
      '--stdio',
      '--no-children',
      '-s',
      'comm,dso,sym',
      '--percent-limit',
      '1.2',
    ],
    { encoding: 'utf8' },
  )
    .stdout.split('\n')
    .filter((l) => l.includes('%'))
    .slice(0, 40)
    .join('\n'),
);

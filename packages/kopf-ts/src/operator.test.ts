import { expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { settle, VirtualClock } from '../test/virtual-clock.ts';
import { KubeClient } from './client/client.ts';
import { Operator } from './operator.ts';

const client = new KubeClient(new KubeConfig());

test('a task at the stop that fails is reported, and the others are still waited for', async () => {
  const clock = new VirtualClock();
  const reported: string[] = [];
  const operator = new Operator({
    client,
    clock,
    onError: ({ step, error }) => reported.push(`${step} ${error.message}`),
  });
  const written = Promise.withResolvers<void>();
  let ended = false;
  operator.atStop(() => {
    throw new Error('mine, at once');
  });
  operator.atStop(() => Promise.reject(new Error('mine, later')));
  operator.atStop(() => written.promise);
  const running = operator.run(AbortSignal.abort()).then(() => {
    ended = true;
  });
  await settle();
  expect([reported, ended]).toEqual([['stop mine, at once', 'stop mine, later'], false]);
  written.resolve();
  await running;
});

test('a service that fails is reported and started again after a second', async () => {
  const clock = new VirtualClock();
  const starts: number[] = [];
  const reported: string[] = [];
  const operator = new Operator({ client, clock, onError: ({ subject }) => reported.push(subject) });
  operator.add({
    name: 'weak',
    async run() {
      starts.push(clock.monotonic());
      throw new Error('no');
    },
  });
  const stop = new AbortController();
  const running = operator.run(stop.signal);
  await clock.advance(2500);
  expect([starts, reported]).toEqual([
    [0, 1000, 2000],
    ['weak', 'weak', 'weak'],
  ]);
  stop.abort();
  await running;
});

test('who does not listen to the end is left behind, and said so', async () => {
  const clock = new VirtualClock();
  const reported: string[] = [];
  const operator = new Operator({ client, clock, graceMs: 5000, onError: ({ error }) => reported.push(error.message) });
  let told = 0;
  operator.add({
    name: 'deaf',
    run: (_: AbortSignal, kill: AbortSignal) =>
      new Promise<void>(() => {
        kill.addEventListener('abort', () => {
          told = clock.monotonic();
        });
      }),
  });
  const running = operator.run(AbortSignal.abort());
  await clock.advance(0);
  // The service began before the stop or not at all.
  await clock.advance(10_000);
  await running;
  expect([told, reported]).toEqual([0, []]);
  const stop = new AbortController();
  const again = operator.run(stop.signal);
  await clock.advance(0);
  stop.abort();
  await clock.advance(5000);
  expect(told).toBe(15_000);
  await clock.advance(1000);
  await again;
  expect(reported).toEqual(['still busy 1000 ms after being told to give up; left behind']);
});

test('times of a leader election that do not fit together are refused where they are given', () => {
  const leaderElection = { namespace: 'n', name: 'l', identity: 'a', leaseMs: 1000, renewDeadlineMs: 2000 };
  expect(() => new Operator({ client, leaderElection })).toThrow('must hold');
});

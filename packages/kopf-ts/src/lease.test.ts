import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { VirtualClock } from '../test/virtual-clock.ts';
import { sleep } from './clock.ts';
import { KubeError } from './errors.ts';
import type { KubeObject } from './kind.ts';
import { LeaderElection, type LeaderElectionOptions, type Leadership, type Lease } from './lease.ts';

const lost = (): KubeError => new KubeError({ status: 0, reason: 'ConnectionLost', message: 'cut' });
const conflict = (): KubeError => new KubeError({ status: 409, reason: 'Conflict', message: 'changed' });

/** One Lease with optimistic concurrency, behind a network whose delays and losses the test draws. */
class LeaseServer {
  #lease: Lease | undefined;
  #version = 0;
  readonly #clock: VirtualClock;
  writes = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get holder(): string | undefined {
    return this.#lease?.spec?.holderIdentity;
  }

  /** @param weather delay in ms on each way, or undefined where the message is lost */
  client(weather: () => number | undefined): LeaderElectionOptions['client'] {
    const travel = async (signal: AbortSignal | undefined): Promise<void> => {
      const delay = weather();
      await sleep(this.#clock, delay ?? 3000, signal);
      if (delay === undefined || signal?.aborted) throw lost();
    };
    const exchange = async <T>(signal: AbortSignal | undefined, act: () => T): Promise<T> => {
      await travel(signal);
      const answer = act();
      await travel(signal);
      return answer;
    };
    const store = (object: KubeObject): Lease => {
      this.writes++;
      this.#lease = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#version) } };
      return this.#lease;
    };
    return {
      get: async (kind, _, options) =>
        exchange(options?.signal, () => {
          if (this.#lease === undefined) throw new KubeError({ status: 404, reason: 'NotFound', message: 'none' });
          return kind.parse(this.#lease);
        }),
      create: async (kind, object, options) =>
        exchange(options?.signal, () => {
          if (this.#lease !== undefined) throw conflict();
          return kind.parse(store(object));
        }),
      replace: async (kind, object, options) =>
        exchange(options?.signal, () => {
          if (this.#lease?.metadata.resourceVersion !== object.metadata.resourceVersion) throw conflict();
          return kind.parse(store(object));
        }),
    };
  }
}

const options = {
  namespace: 'n',
  name: 'l',
  leaseMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
  onError: () => {},
};

test('whatever the network does, never do two candidates hold the lease, and in the end one does', async () => {
  const weather = fc.array(fc.option(fc.nat({ max: 4000 }), { nil: undefined, freq: 3 }), {
    minLength: 40,
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(weather, { minLength: 3, maxLength: 3 }), async (weathers) => {
      const clock = new VirtualClock();
      const lease = new LeaseServer(clock);
      const stop = new AbortController();
      const holding: (Leadership | undefined)[] = [];
      const running = weathers.map((each, i) => {
        let at = 0;
        const election = new LeaderElection({
          ...options,
          clock,
          random: () => i / 3,
          identity: `candidate-${i}`,
          // After the storm: 10 ms each way.
          client: lease.client(() => (at < each.length ? each[at++] : 10)),
        });
        return election.run(stop.signal, async (leadership) => {
          holding[i] = leadership;
          await new Promise<void>((resolve) => leadership.stopping.addEventListener('abort', () => resolve()));
        });
      });
      const holders = (): number => holding.filter((leadership) => leadership?.holds()).length;
      for (let second = 0; second < 600; second++) {
        await clock.advance(500);
        expect(holders()).toBeLessThanOrEqual(1);
      }
      expect(holders()).toBe(1);
      stop.abort();
      await clock.advance(60_000);
      await Promise.all(running);
    }),
    { numRuns: 15 },
  );
}, 120_000);

test('a process that was stopped for longer than its lease knows before any of its timers ran', async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  let leadership: Leadership | undefined;
  let wall = 0;
  const sleeper = { now: () => clock.now() + wall, monotonic: () => clock.monotonic(), after: clock.after.bind(clock) };
  const client = new LeaseServer(clock).client(() => 1);
  const running = new LeaderElection({ ...options, clock: sleeper, identity: 'a', client }).run(
    stop.signal,
    async (term) => {
      leadership = term;
      await new Promise<void>((resolve) => term.stopping.addEventListener('abort', () => resolve()));
    },
  );
  await clock.advance(5000);
  expect(leadership?.holds()).toBe(true);
  wall = 11_000;
  expect(leadership?.holds()).toBe(false);
  stop.abort();
  await clock.advance(5000);
  await running;
});

test('a stop in the middle of a renewal gives the lease back nevertheless', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer(clock);
  const stop = new AbortController();
  let leading = false;
  const running = new LeaderElection({ ...options, clock, identity: 'a', client: server.client(() => 100) }).run(
    stop.signal,
    async ({ stopping }) => {
      leading = true;
      await new Promise<void>((resolve) => stopping.addEventListener('abort', () => resolve()));
    },
  );
  await clock.advance(1000);
  const { writes } = server;
  // The renewal has arrived, its answer is still under way.
  while (server.writes === writes) await clock.advance(10);
  stop.abort();
  await clock.advance(2000);
  await running;
  expect([leading, server.holder]).toEqual([true, '']);
});

test('work that ends at once, or fails, does not take and give back the lease without pause', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer(clock);
  const stop = new AbortController();
  let terms = 0;
  const running = new LeaderElection({
    ...options,
    clock,
    random: () => 0,
    identity: 'a',
    client: server.client(() => 0),
  }).run(stop.signal, async () => {
    if (++terms > 100) stop.abort();
    throw new Error('no');
  });
  await clock.advance(20_000);
  expect(terms).toBe(11);
  stop.abort();
  await clock.advance(5000);
  await running;
});

test('times that do not fit together are refused', () => {
  const client = new LeaseServer(new VirtualClock()).client(() => 1);
  expect(() => new LeaderElection({ ...options, client, identity: 'a', renewDeadlineMs: 15_000 })).toThrow('must hold');
});

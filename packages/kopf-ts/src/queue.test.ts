import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { VirtualClock } from '../test/virtual-clock.ts';
import { sleep } from './clock.ts';
import { PermanentError, TemporaryError } from './errors.ts';
import { WorkQueue, type WorkQueueOptions } from './queue.ts';

function queueOf(clock: VirtualClock, work: WorkQueueOptions['work'], more: Partial<WorkQueueOptions> = {}): WorkQueue {
  const backoff = { initialMs: 100, maxMs: 1000, factor: 2, jitter: 0 };
  return new WorkQueue({ work, concurrency: 2, clock, random: () => 0, backoff, onError: () => {}, ...more });
}

test('a key is never worked on twice at once, at most so many at all, and each add is followed by a run', async () => {
  const plan = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), gap: fc.nat({ max: 30 }) }), {
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(plan, fc.integer({ min: 1, max: 3 }), async (adds, concurrency) => {
      const clock = new VirtualClock();
      const running = new Set<string>();
      const broken: string[] = [];
      const lastStart = new Map<string, number>();
      let runs = 0;
      const queue = queueOf(
        clock,
        async (key) => {
          // Collected, because the queue would take a failed expectation for a failure of the work.
          if (running.has(key)) broken.push(`${key} twice at once`);
          running.add(key);
          if (running.size > concurrency) broken.push(`${running.size} at once`);
          lastStart.set(key, ++runs);
          await sleep(clock, 25);
          running.delete(key);
          return undefined;
        },
        { concurrency },
      );
      const lastAdd = new Map<string, number>();
      for (const { key, gap } of adds) {
        queue.add(key);
        lastAdd.set(key, runs);
        await clock.advance(gap);
      }
      await clock.advance(10_000);
      for (const [key, at] of lastAdd) expect(lastStart.get(key)).toBeGreaterThan(at);
      expect(broken).toEqual([]);
      expect(runs).toBeLessThanOrEqual(adds.length);
      expect(queue.stats).toEqual({ waiting: 0, running: 0, delayed: 0, failing: 0 });
    }),
    { numRuns: 50 },
  );
});

test('failures of one key come back after 100, 200, 400 ms and so on up to the limit', async () => {
  const clock = new VirtualClock();
  const starts: number[] = [];
  const queue = queueOf(clock, async () => {
    starts.push(clock.monotonic());
    throw new Error('no');
  });
  queue.add('a');
  await clock.advance(4000);
  expect(starts).toEqual([0, 100, 300, 700, 1500, 2500, 3500]);
});

test('a success makes the next failure the first again', async () => {
  const clock = new VirtualClock();
  const attempts: number[] = [];
  let failing = true;
  const queue = queueOf(clock, async (_, { attempt }) => {
    attempts.push(attempt);
    if (failing) throw new Error('no');
    return undefined;
  });
  queue.add('a');
  await clock.advance(350);
  failing = false;
  await clock.advance(1000);
  failing = true;
  queue.add('a');
  await clock.advance(0);
  expect(attempts).toEqual([0, 1, 2, 3, 0]);
});

test('a key that fails is worked on at once when it is added again', async () => {
  const clock = new VirtualClock();
  const starts: number[] = [];
  const queue = queueOf(clock, async () => {
    starts.push(clock.monotonic());
    throw new Error('no');
  });
  queue.add('a');
  await clock.advance(10);
  queue.add('a');
  await clock.advance(0);
  expect(starts).toEqual([0, 10]);
});

test('a TemporaryError comes back after its own delay and is not reported', async () => {
  const clock = new VirtualClock();
  const starts: number[] = [];
  const reported: string[] = [];
  const work = async () => {
    starts.push(clock.monotonic());
    if (starts.length < 3) throw new TemporaryError('later', 5000);
    return undefined;
  };
  const queue = queueOf(clock, work, { onError: (key) => reported.push(key) });
  queue.add('a');
  await clock.advance(60_000);
  expect([starts, reported]).toEqual([[0, 5000, 10_000], []]);
});

test('a PermanentError is reported once and waits for the next change', async () => {
  const clock = new VirtualClock();
  let runs = 0;
  const reported: unknown[] = [];
  const work = async () => {
    runs++;
    throw new PermanentError('never');
  };
  const queue = queueOf(clock, work, { onError: (_, error) => reported.push(error) });
  queue.add('a');
  await clock.advance(1_000_000);
  expect([runs, reported.map(String)]).toEqual([1, ['PermanentError: never']]);
  queue.add('a');
  await clock.advance(0);
  expect(runs).toBe(2);
});

test('requeueAfterMs works on a key again even if nothing changes', async () => {
  const clock = new VirtualClock();
  const starts: number[] = [];
  const queue = queueOf(clock, async () => {
    starts.push(clock.monotonic());
    return { requeueAfterMs: 1000 };
  });
  queue.add('a');
  await clock.advance(2500);
  expect(starts).toEqual([0, 1000, 2000]);
});

test('draining finishes what waits and what runs, and takes nothing new', async () => {
  const clock = new VirtualClock();
  const done: string[] = [];
  const queue = queueOf(clock, async (key) => {
    await sleep(clock, 100);
    done.push(key);
    return { requeueAfterMs: 1 };
  });
  for (const key of ['a', 'b', 'c']) queue.add(key);
  let drained = false;
  const draining = queue.drain().then(() => {
    drained = true;
  });
  queue.add('d');
  await clock.advance(100);
  expect([done, drained]).toEqual([['a', 'b'], false]);
  await clock.advance(100);
  await draining;
  expect([done, drained]).toEqual([['a', 'b', 'c'], true]);
});

test('stopping aborts what runs and drops what waits', async () => {
  const clock = new VirtualClock();
  const ended: string[] = [];
  const work: WorkQueueOptions['work'] = async (key, { signal }) => {
    await sleep(clock, 1_000_000, signal);
    ended.push(key);
    return undefined;
  };
  const queue = queueOf(clock, work, { concurrency: 1 });
  queue.add('a');
  queue.add('b');
  await clock.advance(10);
  await queue.stop();
  expect(ended).toEqual(['a']);
});

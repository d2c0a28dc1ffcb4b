import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { VirtualClock } from '../test/virtual-clock.ts';
import { RateLimit } from './rate-limit.ts';

test('in no stretch of time are more taken than the burst and what has flowed in since', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.nat({ max: 700 }), { maxLength: 60 }),
      async (burst, perSecond, gaps) => {
        const clock = new VirtualClock();
        const limit = new RateLimit({ perSecond, burst, clock });
        const taken: number[] = [];
        for (const gap of gaps) {
          if (limit.take().taken) taken.push(clock.monotonic());
          await clock.advance(gap);
        }
        for (const [i, from] of taken.entries())
          for (const [more, to] of taken.slice(i).entries())
            expect(more + 1).toBeLessThanOrEqual(burst + ((to - from) / 1000) * perSecond + 1e-6);
      },
    ),
    { numRuns: 40 },
  );
});

test('who is refused is told when there will be one', async () => {
  const clock = new VirtualClock();
  const limit = new RateLimit({ perSecond: 4, burst: 1, clock });
  expect(limit.take()).toEqual({ taken: true });
  expect(limit.take()).toEqual({ taken: false, waitMs: 250 });
  await clock.advance(250);
  expect(limit.take()).toEqual({ taken: true });
});

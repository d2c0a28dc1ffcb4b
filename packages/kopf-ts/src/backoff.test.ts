import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { backoffDelay, watchBackoff } from './backoff.ts';

test('delays grow to their limit and never leave the band that jitter allows', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 10_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const delay = backoffDelay(watchBackoff, attempt, () => random);
        const base = Math.min(30_000, 200 * 2 ** attempt);
        expect(delay).toBeLessThanOrEqual(base);
        expect(delay).toBeGreaterThan(base / 2 - 1e-6);
      },
    ),
  );
});

import { describe, expect, test } from '@jest/globals';
import { compare, interleave, quantile } from './statistics.ts';

describe('statistics', () => {
  test('a quantile between two values is interpolated', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([1], 0.99)).toBe(1);
  });

  test('pairs over which the machine changed its speed are dropped and counted', () => {
    const steady = Array.from({ length: 20 }, () => ({ before: 100, variant: 95, after: 100 }));
    const result = compare([...steady, { before: 100, variant: 200, after: 200 }]);
    expect(result).toMatchObject({ ratio: 0.95, low: 0.95, high: 0.95, runs: 20, dropped: 1, baseline: 100 });
  });

  test('the interval holds the ratio and widens with the noise', () => {
    const noisy = (spread: number) =>
      compare(
        Array.from({ length: 30 }, (_, i) => ({
          before: 100,
          variant: 100 + (i % 2 === 0 ? spread : -spread) * ((i % 5) / 4),
          after: 100,
        })),
      );
    const quiet = noisy(1);
    const loud = noisy(20);
    expect(quiet.low).toBeLessThanOrEqual(quiet.ratio);
    expect(quiet.high).toBeGreaterThanOrEqual(quiet.ratio);
    expect(loud.high - loud.low).toBeGreaterThan(quiet.high - quiet.low);
  });

  test('interleaving takes each variant between two baselines and stops when there are enough', async () => {
    const order: string[] = [];
    const one = (name: string, value: number) => async () => {
      order.push(name);
      return value;
    };
    const result = await interleave(3, one('baseline', 10), one('variant', 5));
    expect(order).toEqual(['baseline', 'variant', 'baseline', 'variant', 'baseline', 'variant', 'baseline']);
    expect(result).toMatchObject({ ratio: 0.5, runs: 3, dropped: 0 });
  });
});

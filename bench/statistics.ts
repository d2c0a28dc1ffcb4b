/** Figures from machines that are shared and change their speed: pairs of baseline and variant, taken in turn. */

/** Linear interpolation between the two nearest ranks; q from 0 to 1. NaN for no values. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** One variant run between two baseline runs. */
export interface Pair {
  readonly before: number;
  readonly variant: number;
  readonly after: number;
}

export interface Comparison {
  readonly weft: number;
  readonly baseline: number;
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
  readonly dropped: number;
}

/** A small generator with a seed, so that the interval of the same figures is the same. */
function randomSequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The median ratio with its 95 % interval by bootstrap over the pairs. A pair whose two baselines differ by more
 * than `tolerance` is left out: the machine changed its speed in between. */
export function compare(pairs: readonly Pair[], tolerance = 0.15): Comparison {
  const kept = pairs.filter(({ before, after }) => Math.abs(before - after) / Math.max(before, after) <= tolerance);
  const ratios = kept.map(({ before, variant, after }) => variant / ((before + after) / 2));
  const random = randomSequence(ratios.length);
  const medians = Array.from({ length: 2000 }, () =>
    median(ratios.map(() => ratios[Math.floor(random() * ratios.length)] ?? Number.NaN)),
  );
  return {
    weft: median(kept.map((pair) => pair.variant)),
    baseline: median(kept.flatMap((pair) => [pair.before, pair.after])),
    ratio: median(ratios),
    low: quantile(medians, 0.025),
    high: quantile(medians, 0.975),
    runs: kept.length,
    dropped: pairs.length - kept.length,
  };
}

/** Runs baseline, variant, baseline, variant, … baseline until `wanted` pairs are kept or three times as many ran. */
export async function interleave(
  wanted: number,
  baseline: () => Promise<number>,
  variant: () => Promise<number>,
  tolerance = 0.15,
): Promise<Comparison> {
  const pairs: Pair[] = [];
  let before = await baseline();
  let result = compare(pairs, tolerance);
  while (result.runs < wanted && pairs.length < wanted * 3) {
    const value = await variant();
    const after = await baseline();
    pairs.push({ before, variant: value, after });
    before = after;
    if (pairs.length >= wanted) result = compare(pairs, tolerance);
  }
  return result;
}

/** Values of flags. */
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration as 30s, 5m or 2h. */
export function duration(text: string): number {
  const [, number, unit = ''] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('It is a duration as 30s, 5m or 2h.');
  return Number(number) * (UNITS[unit] ?? 0);
}

/** HTTP status: 403, 4xx, 500-504, or 0 where there was no answer. */
export function statusRange(text: string): string {
  const [, low, high] = /^(\d{1,3})-(\d{1,3})$/.exec(text) ?? [];
  const isRange = low !== undefined && Number(low) <= Number(high);
  if (!isRange && !/^(0|[1-5]xx|[1-5]\d\d)$/i.test(text)) {
    throw new InvalidArgumentError('It is 403, 4xx or 500-504; 0 is no answer.');
  }
  return text;
}

/** An integer between the bounds, both included. */
export function integer(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high)) throw new InvalidArgumentError(`It is a number from ${low} to ${high}.`);
    return value;
  };
}

/** What the readers of routes share: each says what is wrong, and the route is refused as a whole. */
import { isRecord, type Json, type Problems, quote, unknownFields } from '../parse.ts';

/** An object with no other fields than `known`; without any where it is none. */
export function fieldsOf(value: unknown, field: string, known: readonly string[], problems: Problems): Json {
  if (!isRecord(value)) {
    problems.error(field, `An object is expected, but this is ${quote(value)}.`);
    return {};
  }
  for (const name of unknownFields(value, known)) {
    problems.error(
      `${field}.${name}`,
      `The field ${quote(name)} is not supported here; there are ${known.join(', ')}.`,
    );
  }
  return value;
}

/** The entries of a list, none where it is absent. */
export function entriesOf(value: unknown, field: string, most: number, problems: Problems): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) problems.error(field, `A list is expected, but this is ${quote(value)}.`);
  else if (value.length > most)
    problems.error(field, `It has ${value.length} entries, but at most ${most} are supported.`);
  else return value;
  return [];
}

/** One of a few words. */
export function oneOf<T extends string>(
  value: unknown,
  words: readonly T[],
  fallback: T,
  field: string,
  problems: Problems,
): T {
  if (value === undefined) return fallback;
  const word = words.find((known) => known === value);
  if (word === undefined) problems.error(field, `${quote(value)} is not supported; there are ${words.join(', ')}.`);
  return word ?? fallback;
}

/** An integer between the bounds, both included. */
export function numberOf(
  value: unknown,
  [low, high]: readonly [number, number],
  fallback: number,
  field: string,
  problems: Problems,
): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return value;
  const what = value === null ? 'It is missing, and must be' : `${quote(value)} is not`;
  problems.error(field, `${what} an integer between ${low} and ${high}.`);
  return fallback;
}

/** A duration in milliseconds between two bounds, both included. */
export function boundedMilliseconds(
  value: unknown,
  [low, high]: readonly [number, number],
  fallback: number,
  field: string,
  problems: Problems,
): number {
  const found = milliseconds(value, field, problems) ?? fallback;
  if (found >= low && found <= high) return found;
  problems.error(field, `${quote(value)} is not between ${low}ms and ${high / 1000}s.`);
  return fallback;
}

/** Some part of a hundred, in millionths. */
export function perMillion(value: unknown, field: string, problems: Problems): number {
  if (value === undefined) return 1_000_000;
  if (typeof value === 'number' && value >= 0 && value <= 100) return Math.round(value * 10_000);
  problems.error(field, `${quote(value)} is not a number between 0 and 100.`);
  return 0;
}

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** A duration of the Gateway API (GEP-2257), as "1m30s", in milliseconds; undefined where it is absent. */
export function milliseconds(value: unknown, field: string, problems: Problems): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(value)) {
    return [...value.matchAll(/([0-9]+)(ms|h|m|s)/g)].reduce(
      (sum, [, count, unit = '']) => sum + Number(count) * (UNITS[unit] ?? 0),
      0,
    );
  }
  problems.error(field, `${quote(value)} is not a duration as 10s, 250ms or 1m30s.`);
  return undefined;
}

/** The name of a host without a port. */
export function hostOf(value: unknown, field: string, problems: Problems): string | undefined {
  if (value === undefined) return undefined;
  if (
    typeof value === 'string' &&
    value.length <= 253 &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(value)
  ) {
    return value;
  }
  problems.error(field, `${quote(value)} is not the name of a host in lower case.`);
  return undefined;
}

export function errorsIn(problems: Problems, from = 0): number {
  return problems.list.slice(from).filter(({ severity }) => severity === 'error').length;
}

/** Reading objects that anybody may have written: nothing here throws, what is wrong becomes a problem. */
import type { Labels, Problem } from '../reconcilers/facts.ts';
import { type Address, parseAddress } from '../reconcilers/net/address.ts';

export type Json = Readonly<Record<string, unknown>>;

/** What one object may still cost others: instructions of its regular expressions, bytes of Envoy's routes. */
interface Work {
  instructions: number;
  bytes: number;
}

/** Where problems of one object are collected. */
export class Problems {
  readonly list: Problem[] = [];
  readonly work: Work;

  constructor(work: Work = { instructions: 65_536, bytes: 1 << 20 }) {
    this.work = work;
  }

  error(field: string, message: string): void {
    this.list.push({ severity: 'error', field, message });
  }

  warning(field: string, message: string): void {
    this.list.push({ severity: 'warning', field, message });
  }
}

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own field: an object from the network may name its field `constructor`. */
export function get(object: unknown, ...path: readonly string[]): unknown {
  let value = object;
  for (const key of path) {
    if (!isRecord(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value ?? undefined;
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function flag(value: unknown): boolean {
  return value === true;
}

/** @returns `fallback` unless the value is an integer between the bounds, both included. */
export function integer(value: unknown, low: number, high: number, fallback: number): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high ? value : fallback;
}

export function isPort(value: unknown): value is number {
  return integer(value, 1, 65_535, 0) !== 0;
}

/** Sorted by key, so that equal labels are encoded equally; what is no string is left out. */
export function labels(value: unknown): Labels {
  if (!isRecord(value)) return {};
  const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The addresses that can be read, without duplicates, in their order; the others become problems. */
export function addresses(values: readonly unknown[], field: string, problems: Problems): Address[] {
  const found = new Set<Address>();
  for (const value of values) {
    const address = parseAddress(text(value));
    if (address !== undefined) found.add(address);
    else problems.warning(field, `${quote(value)} is not an IP address; it is left out.`);
  }
  return [...found];
}

/** As the API server writes it, RFC 3339; '' where there is none. */
export function timestamp(value: unknown): string {
  return value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : text(value);
}

/** Shows a value of unknown size and content in a message. */
export function quote(value: unknown): string {
  const shown = typeof value === 'string' ? JSON.stringify(value) : describe(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** The names of fields that are set and that `known` does not list. */
export function unknownFields(object: Json, known: readonly string[]): string[] {
  return Object.keys(object)
    .filter((key) => !known.includes(key) && object[key] !== undefined && object[key] !== null)
    .sort();
}

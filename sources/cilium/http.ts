import type { HeaderMatch, HttpMatch } from '../../reconcilers/facts.ts';
import { expression } from '../expression.ts';
import { FIXED, headerName, headerValue } from '../header.ts';
import { get, isRecord, type Json, type Problems, quote, unknownFields } from '../parse.ts';

const FIELDS = ['method', 'path', 'host', 'headers', 'headerMatches'];
const EXPRESSIONS = ['method', 'path', 'host'] as const;
const MISMATCHES = ['LOG', 'ADD', 'DELETE', 'REPLACE'] as const;

/** So that what one author writes never becomes more than a node's Envoy can hold. */
export const bounds = {
  /** Alternatives in one entry of toPorts. */
  matches: 256,
  headers: 32,
  /** Of ADD and DELETE: each doubles the number of routes. */
  changes: 4,
} as const;

/** `toPorts[].rules.http`; undefined, with a problem, where any of it is not understood. */
export function httpMatches(value: unknown, field: string, problems: Problems): readonly HttpMatch[] | undefined {
  const before = problems.list.length;
  if (!Array.isArray(value)) {
    problems.error(field, `A list of HTTP rules is expected, but this is ${quote(value)}.`);
    return undefined;
  }
  if (value.length === 0) {
    problems.error(field, 'An empty list matches no request; leave http out to allow all, or write [{}].');
  } else if (value.length > bounds.matches) {
    problems.error(field, `There are ${value.length} HTTP rules, but at most ${bounds.matches} are supported here.`);
  }
  if (problems.list.length > before) return undefined;
  const matches = value.map((entry, index) => oneMatch(entry, `${field}[${index}]`, problems));
  return problems.list.length > before ? undefined : matches;
}

function oneMatch(value: unknown, field: string, problems: Problems): HttpMatch {
  const match: Json = isRecord(value) ? value : {};
  if (!isRecord(value)) problems.error(field, `An HTTP rule is an object, but this is ${quote(value)}.`);
  for (const name of unknownFields(match, FIELDS)) {
    problems.error(`${field}.${name}`, `An HTTP rule has no field ${quote(name)}; it has ${FIELDS.join(', ')}.`);
  }
  const [method, path, host] = EXPRESSIONS.map((name) => expression(get(match, name), `${field}.${name}`, problems));
  const headers = [
    ...entries(get(match, 'headers'), `${field}.headers`, problems, shortHeader),
    ...entries(get(match, 'headerMatches'), `${field}.headerMatches`, problems, longHeader),
  ];
  const changes = headers.filter(({ mismatch }) => mismatch === 'ADD' || mismatch === 'DELETE').length;
  if (headers.length > bounds.headers) {
    problems.error(field, `It has ${headers.length} headers, but at most ${bounds.headers} are supported here.`);
  }
  if (changes > bounds.changes) {
    const message = `${changes} headers have the mismatch ADD or DELETE, but at most ${bounds.changes} are supported.`;
    problems.error(`${field}.headerMatches`, message);
  }
  // Each header with ADD or DELETE doubles the routes that are made of the match.
  problems.work.bytes -= 2 ** Math.min(changes, bounds.changes) * (200 + JSON.stringify(value).length);
  if (problems.work.bytes < 0)
    problems.error(field, 'All HTTP rules of the policy together are too large; split the policy.');
  return { method: method ?? '', path: path ?? '', host: host ?? '', headers };
}

type HeaderReader = (entry: unknown, field: string, problems: Problems) => HeaderMatch[];

function entries(value: unknown, field: string, problems: Problems, read: HeaderReader): HeaderMatch[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap((entry, index) => read(entry, `${field}[${index}]`, problems));
  problems.error(field, `A list is expected, but this is ${quote(value)}.`);
  return [];
}

/** "Name: value" or "Name"; cut at the first space, as Cilium does. */
function shortHeader(entry: unknown, field: string, problems: Problems): HeaderMatch[] {
  if (typeof entry !== 'string') {
    problems.error(field, `A header is written as "Name: value" or "Name", but this is ${quote(entry)}.`);
    return [];
  }
  const space = entry.indexOf(' ');
  const name = headerName(space < 0 ? entry : entry.slice(0, space).replace(/:+$/, ''), field, problems);
  if (name === undefined) return [];
  if (space < 0) return [{ name, mismatch: '' }];
  const value = headerValue(entry.slice(space + 1), field, problems);
  return value === undefined ? [] : [{ name, value, mismatch: '' }];
}

function longHeader(entry: unknown, field: string, problems: Problems): HeaderMatch[] {
  const fields = isRecord(entry) ? entry : {};
  if (get(entry, 'secret') !== undefined) {
    problems.error(`${field}.secret`, 'Values from secrets are not supported; write the value, or match its presence.');
    return [];
  }
  const unknown = unknownFields(fields, ['name', 'value', 'mismatch']);
  if (!isRecord(entry) || unknown.length > 0) {
    const what = isRecord(entry) ? unknown.join(', ') : quote(entry);
    problems.error(field, `A header match has name, value and mismatch, not ${what}.`);
    return [];
  }
  const name = headerName(get(entry, 'name'), `${field}.name`, problems);
  const written = get(entry, 'value') ?? '';
  const value = written === '' ? '' : headerValue(written, `${field}.value`, problems);
  const raw = get(entry, 'mismatch') ?? '';
  const mismatch = raw === '' ? '' : MISMATCHES.find((known) => known === raw);
  if (mismatch === undefined) {
    problems.error(
      `${field}.mismatch`,
      `${quote(raw)} is not one of ${MISMATCHES.join(', ')}; leave it out to refuse the request.`,
    );
  }
  if (name === undefined || value === undefined || mismatch === undefined) return [];
  const changes = mismatch === 'ADD' || mismatch === 'DELETE' || mismatch === 'REPLACE';
  if (changes && value === '') {
    problems.error(`${field}.value`, `The mismatch ${mismatch} needs the value that the header should have.`);
    return [];
  }
  if (changes && FIXED.has(name)) {
    problems.error(`${field}.name`, `The header ${name} can't be changed: it says how the request is passed on.`);
    return [];
  }
  return [{ name, mismatch, ...(value === '' ? {} : { value }) }];
}

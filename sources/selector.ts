import type { Requirement, Selector } from '../reconcilers/facts.ts';
import { get, isRecord, list, type Problems, quote, text, unknownFields } from './parse.ts';

/** Where a label key of some dialect is looked up; undefined where the dialect's key is not understood. */
export type KeyReader = (key: string) => Pick<Requirement, 'scope' | 'key'> | undefined;

export interface ParsedSelector {
  /** What could be read. */
  readonly selector: Selector;
  /** False: `selector` may match more than the author meant. */
  readonly understood: boolean;
}

/** A LabelSelector of the core API; Cilium's differ in their keys only. */
export function parseSelector(value: unknown, field: string, readKey: KeyReader, problems: Problems): ParsedSelector {
  if (!isRecord(value)) {
    problems.error(field, `A selector is an object, but this is ${quote(value)}.`);
    return { selector: [], understood: false };
  }
  const before = problems.list.length;
  for (const name of unknownFields(value, ['matchLabels', 'matchExpressions'])) {
    problems.error(`${field}.${name}`, `A selector has no field ${quote(name)}.`);
  }
  const selector = [
    ...matchLabels(get(value, 'matchLabels'), `${field}.matchLabels`, readKey, problems),
    ...matchExpressions(get(value, 'matchExpressions'), `${field}.matchExpressions`, readKey, problems),
  ];
  return { selector, understood: problems.list.length === before };
}

function matchLabels(value: unknown, field: string, readKey: KeyReader, problems: Problems): Requirement[] {
  if (value === undefined) return [];
  if (!isRecord(value)) {
    problems.error(field, `matchLabels maps label keys to values, but this is ${quote(value)}.`);
    return [];
  }
  return Object.entries(value).flatMap(([key, wanted]) => {
    const where = readKey(key);
    if (where === undefined || typeof wanted !== 'string') {
      problems.error(field, unreadable(key, where === undefined ? undefined : wanted));
      return [];
    }
    return [{ ...where, operator: 'In' as const, values: [wanted] }];
  });
}

function unreadable(key: string, wanted: unknown): string {
  return wanted === undefined
    ? `The label key ${quote(key)} is not supported here.`
    : `The value of the label ${quote(key)} must be a string, but is ${quote(wanted)}.`;
}

function matchExpressions(value: unknown, field: string, readKey: KeyReader, problems: Problems): Requirement[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    problems.error(field, `matchExpressions is a list, but this is ${quote(value)}.`);
    return [];
  }
  return value.flatMap((entry, index) => expression(entry, `${field}[${index}]`, readKey, problems));
}

function expression(entry: unknown, field: string, readKey: KeyReader, problems: Problems): Requirement[] {
  const key = text(get(entry, 'key'));
  const where = readKey(key);
  const operator = get(entry, 'operator');
  const raw = list(get(entry, 'values'));
  const values = raw.filter((item) => typeof item === 'string').sort();
  if (where === undefined || key === '') {
    problems.error(`${field}.key`, `The label key ${quote(key)} is not supported here.`);
  } else if (values.length !== raw.length || (isRecord(entry) && unknownFields(entry, FIELDS).length > 0)) {
    problems.error(field, 'An expression has a key, an operator and values that are strings, nothing else.');
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length === 0) return [{ ...where, operator, values: [] }];
    problems.error(`${field}.values`, `The operator ${operator} takes no values.`);
  } else if (operator === 'In' || operator === 'NotIn') {
    if (values.length > 0) return [{ ...where, operator, values: [...new Set(values)] }];
    problems.error(`${field}.values`, `The operator ${operator} needs at least one value.`);
  } else {
    problems.error(`${field}.operator`, `${quote(operator)} is not one of In, NotIn, Exists and DoesNotExist.`);
  }
  return [];
}

const FIELDS = ['key', 'operator', 'values'];

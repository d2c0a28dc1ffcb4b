/** Files of Kubernetes objects: YAML or JSON, several documents, lists. */
import { readFileSync } from 'node:fs';
import { type Document, isNode, LineCounter, parseAllDocuments } from 'yaml';
import { UsageError } from '../errors.ts';

type Json = Readonly<Record<string, unknown>>;

export interface ReadObject extends Json {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Json & { readonly name: string; readonly namespace?: string };
}

/** An object, and where it was written. */
export interface FileObject {
  readonly object: ReadObject;
  /** As `FILE:LINE`; of a field, or of the last part of its path that is there. */
  readonly at: (field: string) => string;
}

export interface FileProblem {
  readonly severity: 'error' | 'warning';
  /** As `FILE:LINE`. */
  readonly at: string;
  /** As `NetworkPolicy shop/x`; '' where no object could be read. */
  readonly about: string;
  readonly field: string;
  readonly message: string;
}

export interface ReadFiles {
  readonly objects: readonly FileObject[];
  readonly problems: readonly FileProblem[];
}

/** `-` is standard input. @throws UsageError where a file can't be read */
export function readFiles(paths: readonly string[]): ReadFiles {
  const all = paths.map((path) => parseObjects(path === '-' ? 'stdin' : path, contentOf(path)));
  return { objects: all.flatMap(({ objects }) => objects), problems: all.flatMap(({ problems }) => problems) };
}

function contentOf(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`${path} can't be read: ${why}`, { cause });
  }
}

export function parseObjects(file: string, text: string): ReadFiles {
  const lines = new LineCounter();
  const objects: FileObject[] = [];
  const problems: FileProblem[] = [];
  for (const [index, document] of [...parseAllDocuments(text, { lineCounter: lines, merge: true })].entries()) {
    const at = (path: readonly (string | number)[]) => `${file}:${lineOf(document, lines, path)}`;
    const fail = (where: string, message: string) =>
      problems.push({ severity: 'error', at: where, about: '', field: '', message });
    const [broken] = document.errors;
    if (broken !== undefined) {
      const line = lines.linePos(broken.pos[0]).line;
      fail(`${file}:${line}`, `document ${index + 1} is no YAML: ${broken.message.split(' at line ')[0]}`);
      continue;
    }
    const value = toValue(document);
    if (value instanceof Error) fail(at([]), `document ${index + 1} is no YAML: ${value.message}`);
    else if (value !== null && value !== undefined) {
      for (const { item, path } of itemsOf(value, [])) {
        const missing = missingIn(item);
        if (missing === undefined && isObject(item)) {
          objects.push({ object: item, at: (field) => at([...path, ...pathOf(field)]) });
        } else fail(at(path), `document ${index + 1} is no Kubernetes object: ${missing}`);
      }
    }
  }
  return { objects, problems };
}

function toValue(document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

interface Item {
  readonly item: unknown;
  readonly path: readonly (string | number)[];
}

/** `kubectl get -o yaml` writes lists. */
function itemsOf(value: unknown, path: Item['path']): Item[] {
  if (!isRecord(value) || value.apiVersion !== 'v1' || value.kind !== 'List' || !Array.isArray(value.items)) {
    return [{ item: value, path }];
  }
  return value.items.flatMap((item: unknown, index) => itemsOf(item, [...path, 'items', index]));
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isObject(value: unknown): value is ReadObject {
  return missingIn(value) === undefined;
}

function missingIn(value: unknown): string | undefined {
  if (!isRecord(value)) return 'a map with apiVersion, kind and metadata is expected';
  for (const field of ['apiVersion', 'kind']) {
    if (typeof value[field] !== 'string' || value[field] === '') return `it has no ${field}`;
  }
  const { metadata } = value;
  if (!isRecord(metadata) || typeof metadata.name !== 'string' || metadata.name === '')
    return 'it has no metadata.name';
  const namespace = metadata.namespace ?? '';
  return typeof namespace === 'string' ? undefined : 'its metadata.namespace is no string';
}

/** Of a path as `spec.ingress[0].toPorts`. */
function pathOf(field: string): (string | number)[] {
  return [...field.matchAll(/\["([^"]+)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(([, quoted, index, name]) =>
    index === undefined ? (quoted ?? name ?? '') : Number(index),
  );
}

function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length--) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** Which of the objects in files Weft reads, and what they say. */
import { apiVersion } from 'kopf-ts';
import type { Fact, Problem } from '../../reconcilers/index.ts';
import { type SourceKind, translate } from '../../sources/index.ts';
import { sourceKinds } from '../kinds.ts';
import type { FileObject, FileProblem, ReadObject } from './read.ts';

const NAMES = Object.keys(sourceKinds) as SourceKind[];

/** undefined: Weft reads no such kind. */
export function sourceKindOf({ apiVersion: version, kind }: ReadObject): SourceKind | undefined {
  return NAMES.find((name) => name === kind && apiVersion(sourceKinds[name]) === version);
}

/** As `NetworkPolicy shop/x`. */
export function titleOf({ kind, metadata: { namespace = '', name } }: ReadObject): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}

export function keyOf(object: ReadObject): string {
  return `${object.apiVersion} ${titleOf(object)}`;
}

/** With the namespace filled in that the API server would put it into. */
export function inNamespace({ object, at }: FileObject, namespace: string, isNamespaced: boolean): FileObject {
  const { metadata } = object;
  if (!isNamespaced || (metadata.namespace ?? '') !== '') return { object, at };
  const { name, ...rest } = metadata;
  return { object: { ...object, metadata: { name, namespace, ...rest } }, at };
}

/** Objects that are written twice: kubectl applies one after the other, so that the last counts. */
export function lastOfEach(objects: readonly FileObject[]): { objects: FileObject[]; problems: FileProblem[] } {
  const last = new Map(objects.map((one) => [keyOf(one.object), one]));
  const problems = objects.flatMap((one): FileProblem[] => {
    const winner = last.get(keyOf(one.object));
    if (winner === one || winner === undefined) return [];
    const message = `It is written again at ${winner.at('')}, and that counts.`;
    return [{ severity: 'warning', at: one.at(''), about: titleOf(one.object), field: '', message }];
  });
  return { objects: [...last.values()], problems };
}

/** What an object says, and what is wrong with it; a policy's problems are also in its fact. */
export function factsOf(kind: SourceKind, { object, at }: FileObject): { facts: Fact[]; problems: FileProblem[] } {
  const { facts, problems } = translate(kind, object);
  return { facts, problems: problems.map((problem) => locate(problem, object, at)) };
}

export function locate({ severity, field, message }: Problem, object: ReadObject, at: FileObject['at']): FileProblem {
  return { severity, at: at(field), about: titleOf(object), field, message };
}

/** As compilers write them. */
export function problemText({ severity, at, about, field, message }: FileProblem): string {
  const where = [about, field].filter((part) => part !== '').join(' ');
  return `${at}: ${severity}: ${where === '' ? '' : `${where}: `}${message}`;
}

/** What the API server would make of an object, without making it. */
import { defineKind, type Json, type Kind, type KubeClient, KubeError } from 'kopf-ts';
import type { ReadObject } from '../files/read.ts';

/** Where objects of this apiVersion and kind live; undefined: the API server knows none. */
export async function discover(
  client: KubeClient,
  { apiVersion: version, kind }: ReadObject,
): Promise<Kind | undefined> {
  const [group = '', name] = version.includes('/') ? version.split('/') : ['', version];
  if (name === undefined || !/^[A-Za-z0-9.-]+(\/[A-Za-z0-9]+)?$/.test(version)) return undefined;
  const path = group === '' ? `/api/${name}` : `/apis/${group}/${name}`;
  const answer = await client.raw({ method: 'GET', path }).catch(absent);
  for (const one of Array.isArray(answer?.resources) ? answer.resources : []) {
    if (one.kind !== kind || typeof one.name !== 'string' || one.name.includes('/')) continue;
    return defineKind({ group, version: name, plural: one.name, kind, namespaced: one.namespaced === true });
  }
  return undefined;
}

function absent(error: unknown): undefined {
  if (error instanceof KubeError && error.isNotFound) return undefined;
  throw error;
}

export interface Applied {
  /** undefined: it would be new. */
  readonly before: Json | undefined;
  readonly after: Json;
  /** Why `after` is without what the API server fills in. */
  readonly note?: string;
}

/**
 * As `kubectl apply` would do it: with fields removed that were applied before and are not in the object any more.
 * @throws KubeError where the API server refuses the object
 */
export async function dryRun(client: KubeClient, kind: Kind, object: ReadObject): Promise<Applied> {
  const { namespace, name } = object.metadata;
  const base = `${kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`}${
    kind.namespaced ? `/namespaces/${encodeURIComponent(namespace ?? '')}` : ''
  }/${kind.plural}`;
  const path = `${base}/${encodeURIComponent(name)}`;
  const before = await client.raw({ method: 'GET', path }).catch(absent);
  const query = { dryRun: 'All', fieldManager: 'kubectl' };
  const asked = (): Promise<Json> => {
    if (before === undefined) return client.raw({ method: 'POST', path: base, query, body: object });
    const last = lastApplied(before);
    if (last === undefined) {
      const contentType = 'application/apply-patch+yaml';
      return client.raw({ method: 'PATCH', path, query: { ...query, force: true }, contentType, body: object });
    }
    const contentType = 'application/merge-patch+json';
    return client.raw({ method: 'PATCH', path, query, contentType, body: withRemovals(last, object) });
  };
  try {
    return { before, after: await asked() };
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.status === 403) {
      const note = `without what the API server fills in, since it may not be asked (${error.message})`;
      return { before, after: before === undefined ? object : overlay(before, object), note };
    }
    // The namespace is among the files, perhaps.
    if (before === undefined && error.isNotFound) {
      return { before, after: object, note: `without what the API server fills in (${error.message})` };
    }
    throw error;
  }
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

function lastApplied(live: Json): Json | undefined {
  const { metadata } = live;
  const text = isMap(metadata) && isMap(metadata.annotations) ? metadata.annotations[LAST_APPLIED] : undefined;
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : undefined;
    return isMap(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A merge patch: the object, and null for what was in it before. */
function withRemovals(last: Json, next: Json): Json {
  const gone = Object.keys(last).filter((key) => !Object.hasOwn(next, key));
  const kept = Object.entries(next).map(([key, value]) => {
    const was = last[key];
    return [key, isMap(value) && isMap(was) ? withRemovals(was, value) : value];
  });
  return Object.fromEntries([...gone.map((key) => [key, null]), ...kept]);
}

/** Maps are merged, all else is replaced. */
function overlay(live: Json, next: Json): Json {
  const changed = Object.entries(next).map(([key, value]) => {
    const was = live[key];
    return [key, isMap(value) && isMap(was) ? overlay(was, value) : value];
  });
  return { ...live, ...Object.fromEntries(changed) };
}

const NOT_SHOWN = ['managedFields', 'resourceVersion', 'uid', 'generation', 'creationTimestamp', 'selfLink'];

/** Both as they are shown: without what changes by itself, and without a Secret's values. */
export function shown({ before, after }: Applied): { readonly before: Json | undefined; readonly after: Json } {
  const [was, is] = [before && withoutNoise(before), withoutNoise(after)];
  if (is.kind !== 'Secret' || is.apiVersion !== 'v1') return { before: was, after: is };
  const values = { before: secretValues(was), after: secretValues(is) };
  const hide = (object: Json, side: 'before' | 'after'): Json => {
    const { stringData: _, ...rest } = object;
    const hidden = [...values[side]].map(([key, value]) => {
      const other = values[side === 'before' ? 'after' : 'before'].get(key);
      return [key, other === undefined || other === value ? '***' : `*** (${side})`];
    });
    return { ...rest, data: Object.fromEntries(hidden) };
  };
  return { before: was && hide(was, 'before'), after: hide(is, 'after') };
}

function withoutNoise(object: Json): Json {
  const { apiVersion: version, kind, metadata, status: _, ...rest } = object;
  const { annotations, ...others } = isMap(metadata) ? metadata : {};
  const kept = Object.entries(isMap(annotations) ? annotations : {}).filter(([key]) => key !== LAST_APPLIED);
  const shownMetadata = {
    ...Object.fromEntries(Object.entries(others).filter(([key]) => !NOT_SHOWN.includes(key))),
    ...(kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) }),
  };
  return { apiVersion: version, kind, metadata: sorted(shownMetadata), ...sorted(rest) };
}

/** Files and the API server write maps in different orders. */
function sorted(value: Json): Json {
  const inner = (one: unknown): unknown => (Array.isArray(one) ? one.map(inner) : isMap(one) ? sorted(one) : one);
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, inner(value[key])]),
  );
}

/** In base64, whichever way they were written. */
function secretValues(object: Json | undefined): Map<string, string> {
  const data = Object.entries(isMap(object?.data) ? object.data : {}).map(
    ([key, value]) => [key, String(value)] as const,
  );
  const plain = Object.entries(isMap(object?.stringData) ? object.stringData : {}).map(
    ([key, value]) => [key, Buffer.from(String(value)).toString('base64')] as const,
  );
  return new Map([...data, ...plain]);
}

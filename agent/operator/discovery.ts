/** Where the operator's replicas are and whom they may be: from the API server, or as it was, from disk. */
import { readFileSync } from 'node:fs';
import { isIP, isIPv6 } from 'node:net';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { type ApiOptions, getObject } from './api.ts';

export interface Operators {
  /** "10.0.0.1:15443", sorted. */
  readonly targets: readonly string[];
  /** PEM of the roots that sign the operator's certificate. */
  readonly ca: string;
}

/** @throws Error with a sentence */
export async function discoverOperators(api: ApiOptions, namespace: string): Promise<Operators> {
  const [config, slice] = await Promise.all([
    getObject(api, `/api/v1/namespaces/${namespace}/configmaps/weft-ca`),
    getObject(api, `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices/weft-operator`),
  ]);
  return { ca: caOf(config), targets: targetsOf(slice) };
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? { ...value } : {});
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function caOf(config: unknown): string {
  const ca = fieldsOf(fieldsOf(config)['data'])['ca.crt'];
  if (typeof ca === 'string' && ca.includes('BEGIN CERTIFICATE')) return ca;
  throw new Error('ConfigMap weft-ca has no certificate under ca.crt');
}

export function targetsOf(slice: unknown): string[] {
  const { endpoints, ports } = fieldsOf(slice);
  const port = fieldsOf(listOf(ports)[0])['port'];
  const addresses = listOf(endpoints)
    .flatMap((endpoint) => listOf(fieldsOf(endpoint)['addresses']))
    .filter((address): address is string => typeof address === 'string' && isIP(address) !== 0);
  if (typeof port !== 'number' || addresses.length === 0) throw new Error('EndpointSlice weft-operator lists nobody');
  return [...new Set(addresses)].sort().map((address) => `${isIPv6(address) ? `[${address}]` : address}:${port}`);
}

/** The answer of an earlier life; undefined where there is none or the file is damaged. */
export function loadOperators(path: string): Operators | undefined {
  try {
    const { targets, ca } = fieldsOf(JSON.parse(readFileSync(path, 'utf8')));
    const known = listOf(targets).filter((target): target is string => typeof target === 'string');
    return typeof ca === 'string' && known.length > 0 ? { targets: known, ca } : undefined;
  } catch {
    return undefined;
  }
}

export function saveOperators(path: string, operators: Operators): void {
  writeFileAtomic(path, JSON.stringify(operators));
}

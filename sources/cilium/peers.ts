import type { Entity, Peer, PolicyDirection } from '../../reconcilers/facts.ts';
import { parseAddress, parseCidr } from '../../reconcilers/net/address.ts';
import { cidrPeer } from '../cidr.ts';
import { namespaceIs } from '../networking/namespace.ts';
import { get, type Json, type Problems, quote, text } from '../parse.ts';
import { parseSelector } from '../selector.ts';
import { ciliumKey, namesNamespace } from './keys.ts';

const ENTITIES: readonly Entity[] = ['all', 'world', 'world-ipv4', 'world-ipv6', 'cluster', 'host', 'remote-node'];

type EntryReader = (entry: unknown, field: string) => Peer[];

/** The names of the fields that say who may be at the other end, for one direction. */
export function peerFields(direction: PolicyDirection): string[] {
  const side = direction === 'ingress' ? 'from' : 'to';
  return ['Endpoints', 'Entities', 'CIDR', 'CIDRSet'].map((name) => side + name);
}

/**
 * Peers of one rule of a policy in `namespace` ('' for a clusterwide one). No such field: all, if `hasPorts`, else
 * none (an empty rule only switches default deny on). An empty list matches nothing, whatever stands beside it, as in
 * Cilium (mergeEndpointSelectors).
 */
export function rulePeers(
  rule: Json,
  direction: PolicyDirection,
  field: string,
  namespace: string,
  hasPorts: boolean,
  problems: Problems,
): Peer[] {
  const present = peerFields(direction).filter((name) => get(rule, name) !== undefined);
  if (present.length === 0) return hasPorts ? [{ kind: 'entity', entity: 'all' }] : [];
  const filled = present.filter((name) => !isEmptyList(get(rule, name)));
  if (filled.length > 1) {
    problems.error(field, `Cilium does not combine ${filled.join(' and ')} in one rule; write one rule for each.`);
  }
  const peers = filled.flatMap((name) => {
    const entries = get(rule, name);
    if (!Array.isArray(entries)) {
      problems.error(`${field}.${name}`, `A list is expected, but this is ${quote(entries)}.`);
      return [];
    }
    const read = readerOf(name, namespace, problems);
    return entries.flatMap((entry, index) => read(entry, `${field}.${name}[${index}]`));
  });
  return filled.length === present.length ? peers : [];
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function readerOf(name: string, namespace: string, problems: Problems): EntryReader {
  if (name.endsWith('Endpoints')) return (entry, field) => endpointsPeer(entry, field, namespace, problems);
  if (name.endsWith('Entities')) return (entry, field) => entityPeer(entry, field, problems);
  if (name.endsWith('CIDR')) return (entry, field) => plainCidr(entry, field, problems);
  return (entry, field) => cidrPeer(entry, field, '', problems);
}

/** Without a namespace in it, a namespaced policy means its own namespace. */
function endpointsPeer(entry: unknown, field: string, namespace: string, problems: Problems): Peer[] {
  const { selector } = parseSelector(entry, field, ciliumKey, problems);
  const limited = namespace === '' || namesNamespace(selector) ? selector : [namespaceIs(namespace), ...selector];
  return [{ kind: 'pods', selector: limited }];
}

function entityPeer(entry: unknown, field: string, problems: Problems): Peer[] {
  const entity = ENTITIES.find((name) => name === entry);
  if (entity !== undefined) return [{ kind: 'entity', entity }];
  problems.error(field, `The entity ${quote(entry)} is not supported; supported are ${ENTITIES.join(', ')}.`);
  return [];
}

/** A CIDR or a bare address. */
function plainCidr(entry: unknown, field: string, problems: Problems): Peer[] {
  const written = text(entry);
  const address = parseAddress(written);
  const cidr = parseCidr(address === undefined ? written : `${address}/${address.includes(':') ? 128 : 32}`);
  if (cidr !== undefined) return [{ kind: 'cidr', cidr: cidr.text, except: [] }];
  problems.error(field, `${quote(entry)} is not a CIDR as 10.0.0.0/8 or fd00::/64.`);
  return [];
}

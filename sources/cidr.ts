import type { Peer } from '../reconcilers/facts.ts';
import { type Cidr, contains, parseCidr } from '../reconcilers/net/address.ts';
import { get, isRecord, type Problems, quote, text, unknownFields } from './parse.ts';

/** An ipBlock (`cidr`, `except`) or an entry of Cilium's CIDR sets. */
export function cidrPeer(value: unknown, field: string, name: string, problems: Problems): Peer[] {
  const where = name === '' ? field : `${field}.${name}`;
  const cidr = parseCidr(text(get(value, 'cidr')));
  const except = get(value, 'except') ?? [];
  if (!isRecord(value) || unknownFields(value, ['cidr', 'except']).length > 0) {
    const unknown = isRecord(value) ? unknownFields(value, ['cidr', 'except']).join(', ') : quote(value);
    problems.error(where, `Only cidr and except are supported here, not ${unknown}.`);
    return [];
  }
  if (cidr === undefined) {
    problems.error(`${where}.cidr`, `${quote(get(value, 'cidr'))} is not a CIDR as 10.0.0.0/8 or fd00::/64.`);
    return [];
  }
  if (!Array.isArray(except)) {
    problems.error(`${where}.except`, `A list of CIDRs is expected, but this is ${quote(except)}.`);
    return [];
  }
  const excepted = except.flatMap((entry, index): Cidr[] => {
    const inner = parseCidr(text(entry));
    if (inner !== undefined && contains(cidr, inner)) return [inner.text];
    problems.error(`${where}.except[${index}]`, `${quote(entry)} is not a CIDR within ${cidr.text}.`);
    return [];
  });
  return [{ kind: 'cidr', cidr: cidr.text, except: [...new Set(excepted)].sort() }];
}

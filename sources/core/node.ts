import type { Fact } from '../../reconcilers/facts.ts';
import { type Cidr, parseCidr } from '../../reconcilers/net/address.ts';
import { addresses, get, list, type Problems, quote, text } from '../parse.ts';

export function nodeFacts(object: unknown, problems: Problems): Fact[] {
  const name = text(get(object, 'metadata', 'name'));
  if (name === '') return [];
  const entries = list(get(object, 'status', 'addresses'));
  const ofType = (type: string) => entries.filter((e) => get(e, 'type') === type).map((e) => get(e, 'address'));
  const own = [...ofType('InternalIP'), ...ofType('ExternalIP')];
  return [
    {
      kind: 'node',
      name,
      addresses: addresses(own, 'status.addresses', problems),
      podCidrs: podCidrs(object, problems),
    },
  ];
}

function podCidrs(object: unknown, problems: Problems): Cidr[] {
  const all = list(get(object, 'spec', 'podCIDRs'));
  const single = get(object, 'spec', 'podCIDR');
  const found = new Set<Cidr>();
  for (const value of all.length > 0 || single === undefined ? all : [single]) {
    const cidr = parseCidr(text(value));
    // All addresses there are can't be one node's pods.
    if (cidr !== undefined && cidr.length > 0) found.add(cidr.text);
    else problems.warning('spec.podCIDRs', `${quote(value)} is not a CIDR for pods; it is left out.`);
  }
  return [...found];
}

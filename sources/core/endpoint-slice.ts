import type { EndpointFact, Fact, NamedPort } from '../../reconcilers/facts.ts';
import { addresses, get, isPort, list, type Problems, text } from '../parse.ts';
import { transportProtocol } from './protocol.ts';

/** Conditions as in the discovery/v1 API: an absent `ready` means ready, an absent `serving` means as `ready`. */
export function endpointSliceFacts(object: unknown, problems: Problems): Fact[] {
  const service = text(get(object, 'metadata', 'labels', 'kubernetes.io/service-name'));
  const type = get(object, 'addressType');
  if (service === '' || (type !== 'IPv4' && type !== 'IPv6')) return [];
  return [
    {
      kind: 'endpoints',
      namespace: text(get(object, 'metadata', 'namespace')),
      name: text(get(object, 'metadata', 'name')),
      service,
      ports: list(get(object, 'ports')).flatMap(slicePort),
      endpoints: list(get(object, 'endpoints')).flatMap((entry, index) => endpoint(entry, index, problems)),
    },
  ];
}

function slicePort(entry: unknown): NamedPort[] {
  const port = get(entry, 'port');
  const protocol = transportProtocol(get(entry, 'protocol'));
  return isPort(port) && protocol !== undefined ? [{ name: text(get(entry, 'name')), protocol, port }] : [];
}

function endpoint(entry: unknown, index: number, problems: Problems): EndpointFact[] {
  const ready = get(entry, 'conditions', 'ready') !== false;
  const serving = get(entry, 'conditions', 'serving') ?? ready;
  const terminating = serving === true && get(entry, 'conditions', 'terminating') === true;
  if (!ready && !terminating) return [];
  // All addresses of one endpoint are the same backend (discovery/v1): the first is used.
  const first = list(get(entry, 'addresses')).slice(0, 1);
  return [
    {
      addresses: addresses(first, `endpoints[${index}].addresses`, problems),
      node: text(get(entry, 'nodeName')),
      state: ready ? 'ready' : 'terminating',
    },
  ];
}

import { proxyPod } from '../../reconcilers/envoy/names.ts';
import type { Fact, NamedPort } from '../../reconcilers/facts.ts';
import { addresses, flag, get, isPort, labels, list, type Problems, text, timestamp } from '../parse.ts';
import { transportProtocol } from './protocol.ts';

export function podFacts(object: unknown, problems: Problems): Fact[] {
  const namespace = text(get(object, 'metadata', 'namespace'));
  const name = text(get(object, 'metadata', 'name'));
  const uid = text(get(object, 'metadata', 'uid'));
  if (namespace === '' || name === '' || uid === '') {
    problems.error('metadata', 'A pod needs a namespace, a name and a uid; this one is ignored.');
    return [];
  }
  const phase = text(get(object, 'status', 'phase'));
  const serviceAccount = text(get(object, 'spec', 'serviceAccountName')) || 'default';
  const terminated = phase === 'Succeeded' || phase === 'Failed';
  return [
    {
      kind: 'pod',
      namespace,
      name,
      uid,
      node: text(get(object, 'spec', 'nodeName')),
      labels: labels(get(object, 'metadata', 'labels')),
      serviceAccount,
      addresses: terminated ? [] : podAddresses(object, problems),
      hostNetwork: flag(get(object, 'spec', 'hostNetwork')),
      terminated,
      deleting: get(object, 'metadata', 'deletionTimestamp') !== undefined,
      created: timestamp(get(object, 'metadata', 'creationTimestamp')),
      ports: namedPorts(object),
      proxy: namespace === proxyPod.namespace && serviceAccount === proxyPod.serviceAccount,
    },
  ];
}

function podAddresses(object: unknown, problems: Problems) {
  const all = list(get(object, 'status', 'podIPs')).map((entry) => get(entry, 'ip'));
  const single = get(object, 'status', 'podIP');
  return addresses(all.length > 0 || single === undefined ? all : [single], 'status.podIPs', problems);
}

/** Containers and sidecars (init containers that keep running) serve; other init containers' ports don't count. */
function namedPorts(object: unknown): NamedPort[] {
  const sidecars = list(get(object, 'spec', 'initContainers')).filter((c) => get(c, 'restartPolicy') === 'Always');
  return [...list(get(object, 'spec', 'containers')), ...sidecars].flatMap((container) =>
    list(get(container, 'ports')).flatMap((entry) => {
      const name = text(get(entry, 'name'));
      const port = get(entry, 'containerPort');
      const protocol = transportProtocol(get(entry, 'protocol'));
      return name !== '' && isPort(port) && protocol !== undefined ? [{ name, protocol, port }] : [];
    }),
  );
}

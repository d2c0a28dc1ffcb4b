import type { Fact, ServicePortFact } from '../../reconcilers/facts.ts';
import { addresses, get, integer, isPort, list, type Problems, quote, text } from '../parse.ts';
import { transportProtocol } from './protocol.ts';

/** Kubernetes' own default of `sessionAffinityConfig.clientIP.timeoutSeconds`. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

/**
 * Headless and ExternalName Services, and those without an address yet, give no fact. `externalIPs` are ignored: anybody
 * who may write a Service could take any address with them (CVE-2020-8554).
 */
export function serviceFacts(object: unknown, problems: Problems): Fact[] {
  const type = text(get(object, 'spec', 'type')) || 'ClusterIP';
  const clusterIps = clusterAddresses(object, problems);
  if (type === 'ExternalName' || clusterIps.length === 0) return [];
  const reachable = type === 'NodePort' || type === 'LoadBalancer';
  if (list(get(object, 'spec', 'externalIPs')).length > 0) {
    problems.warning('spec.externalIPs', 'External IPs are not served; use a Service of type LoadBalancer.');
  }
  return [
    {
      kind: 'service',
      namespace: text(get(object, 'metadata', 'namespace')),
      name: text(get(object, 'metadata', 'name')),
      clusterIps,
      externalIps: type === 'LoadBalancer' ? loadBalancerAddresses(object, problems) : [],
      ports: list(get(object, 'spec', 'ports')).flatMap((port, index) => servicePort(port, index, reachable, problems)),
      affinitySeconds: affinity(object),
      internalLocal: get(object, 'spec', 'internalTrafficPolicy') === 'Local',
      externalLocal: reachable && get(object, 'spec', 'externalTrafficPolicy') === 'Local',
    },
  ];
}

function clusterAddresses(object: unknown, problems: Problems) {
  const all = list(get(object, 'spec', 'clusterIPs'));
  const single = get(object, 'spec', 'clusterIP');
  const values = all.length > 0 || single === undefined ? all : [single];
  return addresses(
    values.filter((value) => value !== 'None' && value !== ''),
    'spec.clusterIPs',
    problems,
  );
}

/**
 * Where `ipMode` is Proxy the load balancer must see the traffic itself. Source ranges narrow who may use the addresses
 * and are not supported: then none is served.
 */
function loadBalancerAddresses(object: unknown, problems: Problems) {
  const field = sourceRanges(object);
  if (field !== undefined) {
    problems.error(field, 'Source ranges are not supported, so the addresses of the load balancer are not served.');
    return [];
  }
  const entries = list(get(object, 'status', 'loadBalancer', 'ingress'));
  const values = entries.filter((e) => get(e, 'ipMode') !== 'Proxy').map((e) => get(e, 'ip'));
  return addresses(
    values.filter((value) => value !== undefined),
    'status.loadBalancer.ingress',
    problems,
  );
}

/** The annotation that means the same as `loadBalancerSourceRanges`, where that is not set. */
export const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges';

function sourceRanges(object: unknown): string | undefined {
  const ranges = get(object, 'spec', 'loadBalancerSourceRanges') ?? [];
  if (!Array.isArray(ranges) || ranges.length > 0) return 'spec.loadBalancerSourceRanges';
  const annotated = get(object, 'metadata', 'annotations', SOURCE_RANGES) ?? '';
  return annotated === '' ? undefined : `metadata.annotations["${SOURCE_RANGES}"]`;
}

function servicePort(entry: unknown, index: number, reachable: boolean, problems: Problems): ServicePortFact[] {
  const port = get(entry, 'port');
  const protocol = transportProtocol(get(entry, 'protocol'));
  if (!isPort(port) || protocol === undefined) {
    const what = `${quote(get(entry, 'protocol') ?? 'TCP')} port ${quote(port)}`;
    problems.warning(`spec.ports[${index}]`, `${what} can't be served; use TCP, UDP or SCTP and 1 to 65535.`);
    return [];
  }
  const nodePort = reachable ? integer(get(entry, 'nodePort'), 1, 65_535, 0) : 0;
  return [{ name: text(get(entry, 'name')), protocol, port, nodePort, appProtocol: text(get(entry, 'appProtocol')) }];
}

function affinity(object: unknown): number {
  if (get(object, 'spec', 'sessionAffinity') !== 'ClientIP') return 0;
  const seconds = get(object, 'spec', 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds');
  return integer(seconds, 1, 86_400, DEFAULT_AFFINITY_SECONDS);
}

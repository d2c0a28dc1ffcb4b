/**
 * A made-up cluster of any size, the same for the same numbers: namespaces with a few applications each, Services
 * with EndpointSlices, policies mostly namespaced with label peers, some cluster-wide with entities.
 */
import type { SourceKind } from '../../sources/index.ts';
import type { Change } from '../compiler.ts';
import { changeOf } from './changes.ts';

export interface ClusterSize {
  readonly nodes: number;
  readonly pods: number;
  readonly services: number;
  readonly policies: number;
}

/** The goals of the issue are for this one. */
export const large: ClusterSize = { nodes: 5000, pods: 100_000, services: 10_000, policies: 1000 };

export interface SourceObject {
  readonly kind: SourceKind;
  readonly object: Readonly<Record<string, unknown>> & { readonly metadata: Metadata };
}

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const PODS_IN_NAMESPACE = 200;
const PODS_IN_APP = 20;
const APPS = PODS_IN_NAMESPACE / PODS_IN_APP;
/** Of 100: policies of CiliumClusterwideNetworkPolicy. */
const CLUSTERWIDE = 1;

export class Generator {
  readonly size: ClusterSize;

  constructor(size: ClusterSize) {
    this.size = size;
  }

  *objects(): Iterable<SourceObject> {
    for (let i = 0; i < this.size.nodes; i++) yield this.node(i);
    for (let i = 0; i < Math.ceil(this.size.pods / PODS_IN_NAMESPACE); i++) yield this.namespace(i);
    for (let i = 0; i < this.size.pods; i++) yield this.pod(i);
    for (let i = 0; i < this.size.services; i++) {
      yield this.service(i);
      yield this.endpointSlice(i);
    }
    for (let i = 0; i < this.size.policies; i++) yield this.policy(i);
  }

  namespace(i: number): SourceObject {
    return {
      kind: 'Namespace',
      object: { metadata: { name: ns(i), labels: { 'kubernetes.io/metadata.name': ns(i), team: `team-${i % 20}` } } },
    };
  }

  node(i: number): SourceObject {
    return {
      kind: 'Node',
      object: {
        metadata: { name: nodeName(i) },
        spec: { podCIDRs: [`10.${128 + (i >> 8)}.${i & 255}.0/24`] },
        status: { addresses: [{ type: 'InternalIP', address: `172.${16 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}` }] },
      },
    };
  }

  /** @param generation changes the pod's labels so that other policies mean it */
  pod(i: number, generation = 0): SourceObject {
    const app = (Math.floor(i / PODS_IN_APP) + generation) % APPS;
    const node = this.nodeOf(i);
    return {
      kind: 'Pod',
      object: {
        metadata: {
          namespace: ns(namespaceOf(i)),
          name: `pod-${i}`,
          uid: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
          creationTimestamp: '2026-01-01T00:00:00Z',
          labels: {
            app: `app-${app}`,
            'pod-template-hash': `${namespaceOf(i)}-${app}`,
            tier: app % 2 === 0 ? 'front' : 'back',
            version: `v${i % 2}`,
            instance: `pod-${i}`,
          },
        },
        spec: { nodeName: nodeName(node), serviceAccountName: `app-${app}` },
        status: { phase: 'Running', podIPs: [{ ip: this.addressOf(i) }] },
      },
    };
  }

  service(i: number): SourceObject {
    return {
      kind: 'Service',
      object: {
        metadata: { namespace: ns(this.#serviceNamespace(i)), name: `svc-${i}` },
        spec: {
          type: 'ClusterIP',
          clusterIPs: [`10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`],
          ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
        },
      },
    };
  }

  /** @param first moves the window of the pods that are behind the Service */
  endpointSlice(i: number, first = 0): SourceObject {
    const namespace = this.#serviceNamespace(i);
    const pods = Array.from(
      { length: 10 },
      (_, n) => namespace * PODS_IN_NAMESPACE + ((i + n + first) % PODS_IN_NAMESPACE),
    ).filter((pod) => pod < this.size.pods);
    return {
      kind: 'EndpointSlice',
      object: {
        metadata: {
          namespace: ns(namespace),
          name: `svc-${i}-a`,
          labels: { 'kubernetes.io/service-name': `svc-${i}` },
        },
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        endpoints: pods.map((pod) => ({
          addresses: [this.addressOf(pod)],
          nodeName: nodeName(this.nodeOf(pod)),
          conditions: { ready: true },
        })),
      },
    };
  }

  policy(i: number, generation = 1): SourceObject {
    return i % 100 < CLUSTERWIDE ? this.#clusterwide(i, generation) : this.#namespaced(i, generation);
  }

  nodeOf(pod: number): number {
    // Spread as a scheduler does, neighbours apart.
    return (pod * 7919) % this.size.nodes;
  }

  addressOf(pod: number): string {
    const node = this.nodeOf(pod);
    const place = Math.floor((pod * 7919) / this.size.nodes) % 250;
    return `10.${128 + (node >> 8)}.${node & 255}.${place + 2}`;
  }

  #serviceNamespace(i: number): number {
    return i % Math.max(1, Math.ceil(this.size.pods / PODS_IN_NAMESPACE));
  }

  #clusterwide(i: number, generation: number): SourceObject {
    const nodes = generation % 2 === 1 ? ['host', 'remote-node'] : ['host'];
    const entities = i === 0 ? ['cluster', ...nodes] : nodes;
    const subject = i === 0 ? {} : { matchLabels: { tier: 'front' } };
    return {
      kind: 'CiliumClusterwideNetworkPolicy',
      object: {
        metadata: { name: `clusterwide-${i}`, generation },
        spec: {
          endpointSelector: subject,
          enableDefaultDeny: { ingress: false },
          ingress: [{ fromEntities: entities }],
        },
      },
    };
  }

  #namespaced(i: number, generation: number): SourceObject {
    const namespace = ns(this.#serviceNamespace(i));
    const app = i % APPS;
    const from = { matchLabels: { app: `app-${(app + generation) % APPS}` } };
    const subject = { matchLabels: { app: `app-${app}` } };
    if (i % 2 === 0) {
      return {
        kind: 'NetworkPolicy',
        object: {
          metadata: { namespace, name: `policy-${i}`, generation },
          spec: {
            podSelector: subject,
            policyTypes: ['Ingress'],
            ingress: [
              { from: [{ podSelector: from }], ports: [{ port: 8080 }] },
              ...(i % 10 === 0 ? [{ from: [{ ipBlock: { cidr: `203.0.${i & 255}.0/24` } }] }] : []),
            ],
          },
        },
      };
    }
    return {
      kind: 'CiliumNetworkPolicy',
      object: {
        metadata: { namespace, name: `policy-${i}`, generation },
        spec: {
          endpointSelector: subject,
          ingress: [
            { fromEndpoints: [from], toPorts: [{ ports: [{ port: '8080', protocol: 'TCP' }] }] },
            { fromEntities: ['host'] },
          ],
        },
      },
    };
  }
}

export function toChange({ kind, object }: SourceObject): Change {
  return changeOf({ ...object, kind });
}

function ns(i: number): string {
  return `ns-${i}`;
}

function nodeName(i: number): string {
  return `node-${i}`;
}

function namespaceOf(pod: number): number {
  return Math.floor(pod / PODS_IN_NAMESPACE);
}

/**
 * What policies mean, written down by hand from the documents of Kubernetes and Cilium: objects in, verdicts out. Each
 * verdict is read twice, from the compiled entries and by the simulator, so that neither an error of a translator nor
 * one that compiler and simulator share passes unseen.
 */
import { describe, expect, test } from '@jest/globals';
import type { NodeResource } from '@weft/node-api';
import { parseAllDocuments } from 'yaml';
import { compileFromScratch } from './compiler.ts';
import type { HttpRequest } from './http/match.ts';
import { decideFor, type Probe } from './simulator/simulate.ts';
import { changeOf } from './testing/changes.ts';
import type { GoldenObject } from './testing/golden.ts';
import { classOf, type Evaluation, evaluate, Held, routeOf } from './testing/held.ts';

const CLUSTER = `
{kind: Namespace, metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop, team: web}}}
---
{kind: Namespace, metadata: {name: bank, labels: {kubernetes.io/metadata.name: bank, team: money}}}
---
{kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.0.1.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{kind: Node, metadata: {name: n2}, spec: {podCIDRs: [10.0.2.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
---
{kind: Pod, metadata: {namespace: shop, name: api, uid: u1, labels: {app: api}}, spec: {nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.0.1.1}}
---
{kind: Pod, metadata: {namespace: shop, name: web, uid: u2, labels: {app: web}}, spec: {nodeName: n2, serviceAccountName: robot}, status: {podIP: 10.0.2.1}}
---
{kind: Pod, metadata: {namespace: bank, name: teller, uid: u3, labels: {app: web}}, spec: {nodeName: n2}, status: {podIP: 10.0.2.2}}
`;

/** Who may be at the other end; n1 is the node of `api`. */
const PEERS = {
  web: '10.0.2.1',
  teller: '10.0.2.2',
  n1: '192.168.0.1',
  n2: '192.168.0.2',
  world: '8.8.8.8',
  world6: '2001:db8::1',
} as const;
const EVERYBODY = Object.keys(PEERS).join(' ');

const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1 } as const;

/** Which peers `shop/api` lets in, or reaches, on `protocol/port`. */
function allowed(policies: string, direction: 'ingress' | 'egress', traffic: string): string {
  const objects = parseAllDocuments(`${CLUSTER}---\n${policies}`).map((document): GoldenObject => document.toJS());
  const changes = objects.map(changeOf);
  const facts = changes.flatMap((change) => change.facts);
  const node = new Held().apply(compileFromScratch(changes)).node('n1');
  const endpoint = [...node.values()].find(({ resource }) => resource?.$case === 'endpoint');
  if (endpoint?.resource?.$case !== 'endpoint') throw new Error('api has no endpoint');
  const { policySet } = endpoint.resource.value;
  const [, name = '', port = '', method = '', path = ''] = /^(\w+)\/(\d+)(?: (\S+) (\S+))?$/.exec(traffic) ?? [];
  const protocol = protocolOf(name);
  const request = method === '' ? undefined : { method, path, host: 'x', headers: {} };
  return Object.entries(PEERS)
    .filter(([, address]) => {
      const peer = classOf(node, address);
      if (peer === undefined) throw new Error(`${address} has no class`);
      const found = evaluate(node, policySet, direction, peer, NUMBERS[protocol], Number(port));
      const compiled = request === undefined ? found.verdict : verdictFor(node, found, request);
      const probe = { protocol, port: Number(port), ...(request === undefined ? {} : { http: request }) };
      const naive = decideFor(facts, 'shop/api', direction, { address }, probe)?.verdict;
      expect(compiled).toBe(naive);
      return compiled === 'allow';
    })
    .map(([peer]) => peer)
    .join(' ');
}

function verdictFor(node: ReadonlyMap<string, NodeResource>, found: Evaluation, request: HttpRequest): string {
  if (found.listener === undefined) return found.verdict;
  return routeOf(node, found.listener, request) === 'denied' ? 'deny' : 'allow';
}

function protocolOf(name: string): Probe['protocol'] {
  if (name === 'TCP' || name === 'UDP' || name === 'SCTP' || name === 'ICMP') return name;
  throw new Error(`${name} is no protocol`);
}

/** A CiliumNetworkPolicy in `shop` about `api`. */
function cilium(spec: string): string {
  return `{kind: CiliumNetworkPolicy, metadata: {namespace: shop, name: x}, spec: {endpointSelector: {matchLabels: {app: api}}, ${spec}}}`;
}

/** Lets `from` of port 80 ask what one of `rules` matches. */
function http(from: string, rules: string, name = 'x'): string {
  const port = `toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [${rules}]}}]`;
  return cilium(`ingress: [{${from}, ${port}}]`).replace('name: x', `name: ${name}`);
}

function clusterwide(spec: string, name = 'x'): string {
  return `{kind: CiliumClusterwideNetworkPolicy, metadata: {name: ${name}}, spec: {${spec}}}`;
}

/** A NetworkPolicy in `shop` about all its pods. */
function core(spec: string, name = 'x'): string {
  return `{kind: NetworkPolicy, metadata: {namespace: shop, name: ${name}}, spec: {podSelector: {}, ${spec}}}`;
}

const both = (...policies: readonly string[]): string => policies.join('\n---\n');

type Row = readonly [policies: string, traffic: string, allowed: string];

function rows(direction: 'ingress' | 'egress', table: readonly Row[]): void {
  for (const [policies, traffic, expected] of table) {
    const who = expected === '' ? 'nobody' : expected;
    test(`${direction} ${traffic} with ${policies.replaceAll('\n---\n', ' and ')}: ${who}`, () => {
      expect(allowed(policies, direction, traffic)).toBe(expected);
    });
  }
}

describe('Cilium', () => {
  rows('ingress', [
    // Which entity is what.
    [cilium('ingress: [{fromEntities: [all]}]'), 'ICMP/0', EVERYBODY],
    [cilium('ingress: [{fromEntities: [world]}]'), 'TCP/80', 'world world6'],
    [cilium('ingress: [{fromEntities: [world-ipv4]}]'), 'TCP/80', 'world'],
    [cilium('ingress: [{fromEntities: [world-ipv6]}]'), 'TCP/80', 'world6'],
    [cilium('ingress: [{fromEntities: [cluster]}]'), 'TCP/80', 'web teller n1 n2'],
    [cilium('ingress: [{fromEntities: [host]}]'), 'TCP/80', 'n1'],
    [cilium('ingress: [{fromEntities: [remote-node]}]'), 'TCP/80', 'n2'],
    [cilium('ingress: [{fromEntities: [kube-apiserver]}]'), 'TCP/80', ''],
    // Empty and absent.
    [cilium('ingress: [{}]'), 'TCP/80', ''],
    [cilium('ingress: []'), 'TCP/80', EVERYBODY],
    [cilium('ingress: [{fromEndpoints: []}]'), 'TCP/80', ''],
    [cilium('ingress: [{fromEndpoints: [], fromEntities: [all]}]'), 'TCP/80', ''],
    [cilium('ingress: [{fromEndpoints: [{}]}]'), 'TCP/80', 'web'],
    [clusterwide('endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]'), 'TCP/80', 'web teller'],
    [cilium('ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]'), 'TCP/80', EVERYBODY],
    [cilium('ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}]}]}]'), 'UDP/80', ''],
    // Labels.
    [cilium('ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]'), 'TCP/80', 'web'],
    [
      cilium('ingress: [{fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": bank}}]}]'),
      'TCP/80',
      'teller',
    ],
    [
      cilium('ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: money}}]}]'),
      'TCP/80',
      'teller',
    ],
    [
      cilium('ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: robot}}]}]'),
      'TCP/80',
      'web',
    ],
    [
      clusterwide(
        'endpointSelector: {}, ingress: [{fromEndpoints: [{matchExpressions: [{key: none, operator: DoesNotExist}]}]}]',
      ),
      'TCP/80',
      'web teller',
    ],
    // CIDRs mean the world only.
    [cilium('ingress: [{fromCIDR: [0.0.0.0/0]}]'), 'TCP/80', 'world'],
    [cilium('ingress: [{fromCIDRSet: [{cidr: 0.0.0.0/0, except: [8.0.0.0/8]}]}]'), 'TCP/80', ''],
    [cilium('ingress: [{fromCIDR: [10.0.2.1/32, 192.168.0.2]}]'), 'TCP/80', ''],
    // Ports.
    [cilium('ingress: [{fromEntities: [world], toPorts: [{ports: [{port: http}]}]}]'), 'TCP/8080', 'world world6'],
    [
      cilium('ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "1000", endPort: 2000}]}]}]'),
      'SCTP/2000',
      'world world6',
    ],
    [cilium('ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "0"}]}]}]'), 'UDP/9', 'world world6'],
    [cilium('ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "0"}]}]}]'), 'ICMP/0', ''],
    // Deny wins; a deny alone switches default deny on.
    [cilium('ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [world]}]'), 'TCP/80', 'web teller n1 n2'],
    [
      cilium(
        'ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [world], toPorts: [{ports: [{port: "22"}]}]}]',
      ),
      'TCP/80',
      EVERYBODY,
    ],
    [cilium('ingressDeny: [{fromEntities: [world]}]'), 'TCP/80', ''],
    [
      cilium('enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEntities: [world]}]'),
      'TCP/80',
      'web teller n1 n2',
    ],
    [cilium('enableDefaultDeny: {ingress: false}, ingress: [{fromEntities: [host]}]'), 'TCP/80', EVERYBODY],
    [cilium('enableDefaultDeny: {ingress: true}'), 'TCP/80', ''],
    // What is not understood is never wider.
    [
      both(
        cilium('ingress: [{fromRequires: [{matchLabels: {env: prod}}]}]'),
        clusterwide('endpointSelector: {}, ingress: [{fromEntities: [all]}]'),
      ),
      'TCP/80',
      '',
    ],
    [
      both(
        cilium('ingressDeny: [{fromEntities: [kube-apiserver]}]'),
        clusterwide('endpointSelector: {}, ingress: [{fromEntities: [all]}]'),
      ),
      'TCP/80',
      '',
    ],
    // Layer 7: whose requests Envoy decides on; what allows a connection as a whole comes first, and denials before that.
    [
      cilium('ingress: [{fromEntities: [all], toPorts: [{ports: [{port: "80"}], rules: {kafka: [{}]}}]}]'),
      'TCP/80',
      '',
    ],
    [http('fromEntities: [all]', '{method: GET}'), 'TCP/80 GET /a', EVERYBODY],
    [http('fromEntities: [all]', '{method: GET}'), 'TCP/80 GETS /a', ''],
    [http('fromEntities: [all]', '{method: GET}'), 'UDP/80', ''],
    [http('fromEntities: [all]', '{method: GET}'), 'TCP/81', ''],
    [http('fromEntities: [all]', '{method: GET, path: /a}'), 'TCP/80 GET /a?b', ''],
    [http('fromEntities: [all]', '{method: GET, path: /a}'), 'TCP/80 GET /a/b', ''],
    [http('fromEntities: [all]', '{method: GET, path: "/a.*"}, {method: PUT}'), 'TCP/80 GET /a/b', EVERYBODY],
    [http('fromEntities: [all]', '{method: GET, path: "/a.*"}, {method: PUT}'), 'TCP/80 PUT /x', EVERYBODY],
    [http('fromEntities: [all]', '{path: "/("}'), 'TCP/80 GET /(', ''],
    [http('fromEntities: [host]', '{method: GET}'), 'TCP/80 GET /a', 'n1'],
    [
      both(http('fromEntities: [host]', '{method: GET}'), http('fromEntities: [cluster]', '{method: PUT}', 'y')),
      'TCP/80 PUT /a',
      'web teller n1 n2',
    ],
    [
      both(
        http('fromEntities: [all]', '{method: GET}'),
        clusterwide('endpointSelector: {}, ingress: [{fromEntities: [cluster]}]'),
      ),
      'TCP/80 PUT /a',
      'web teller n1 n2',
    ],
    [
      both(
        http('fromEntities: [all]', '{method: GET}'),
        clusterwide('endpointSelector: {}, ingressDeny: [{fromEntities: [world]}]'),
      ),
      'TCP/80 GET /a',
      'web teller n1 n2',
    ],
    [
      both(
        cilium('ingress: [{fromEntities: [all]}], unheardOf: 1'),
        clusterwide('endpointSelector: {}, ingress: [{fromEntities: [all]}]'),
      ),
      'TCP/80',
      '',
    ],
    // Allows are a union; nodes are no pods.
    [
      both(cilium('ingress: [{fromEntities: [host]}]'), core('ingress: [{from: [{podSelector: {}}]}]')),
      'TCP/80',
      'web n1',
    ],
    [clusterwide('nodeSelector: {}, ingressDeny: [{fromEntities: [all]}]'), 'TCP/80', EVERYBODY],
  ]);

  rows('egress', [
    [cilium('ingress: [{}]'), 'TCP/80', EVERYBODY],
    [cilium('egress: [{toFQDNs: [{matchName: example.com}]}]'), 'TCP/443', ''],
    [cilium('egress: [{toServices: [{k8sService: {serviceName: api}}]}]'), 'TCP/80', ''],
    [
      cilium('egress: [{toEndpoints: [{matchLabels: {app: web}}], toPorts: [{ports: [{port: "53", protocol: UDP}]}]}]'),
      'UDP/53',
      'web',
    ],
    [
      cilium('egress: [{toEntities: [all]}], egressDeny: [{toCIDRSet: [{cidr: 8.0.0.0/8, except: [8.8.8.0/24]}]}]'),
      'TCP/80',
      EVERYBODY,
    ],
    [cilium('egress: [{toEntities: [all]}], egressDeny: [{toCIDR: [8.8.8.8]}]'), 'TCP/80', 'web teller n1 n2 world6'],
  ]);
});

describe('NetworkPolicy', () => {
  rows('ingress', [
    [core(''), 'TCP/80', ''],
    [core('policyTypes: [Egress]'), 'TCP/80', EVERYBODY],
    [core('ingress: [{}]'), 'ICMP/0', EVERYBODY],
    [core('ingress: [{from: []}]'), 'TCP/80', EVERYBODY],
    [core('ingress: [{from: [{podSelector: {}}]}]'), 'TCP/80', 'web'],
    [core('ingress: [{from: [{namespaceSelector: {}}]}]'), 'TCP/80', 'web teller'],
    [
      core(
        'ingress: [{from: [{namespaceSelector: {matchLabels: {team: money}}, podSelector: {matchLabels: {app: web}}}]}]',
      ),
      'TCP/80',
      'teller',
    ],
    [
      core(
        'ingress: [{from: [{namespaceSelector: {matchLabels: {team: money}}}, {podSelector: {matchLabels: {app: web}}}]}]',
      ),
      'TCP/80',
      'web teller',
    ],
    [core('ingress: [{from: [{ipBlock: {cidr: 8.0.0.0/8, except: [8.8.8.8/32]}}]}]'), 'TCP/80', ''],
    [
      core('ingress: [{from: [{ipBlock: {cidr: 8.0.0.0/8}}], ports: [{port: 1000, endPort: 2000, protocol: UDP}]}]'),
      'UDP/2000',
      'world',
    ],
    [core('ingress: [{ports: [{port: http}]}]'), 'TCP/8080', EVERYBODY],
    [core('ingress: [{ports: [{}]}]'), 'UDP/80', ''],
    [core('ingress: [{ports: [{protocol: SCTP}]}]'), 'SCTP/80', EVERYBODY],
    [core('policyTypes: [Ingress, Outgress], ingress: [{}]'), 'TCP/80', ''],
    [both(core(''), core('ingress: [{from: [{podSelector: {}}]}]', 'y')), 'TCP/80', 'web'],
  ]);

  rows('egress', [
    [core(''), 'TCP/80', EVERYBODY],
    [core('egress: [{to: [{podSelector: {}}]}]'), 'TCP/80', 'web'],
    [core('policyTypes: [Egress]'), 'TCP/80', ''],
    [core('policyTypes: [Ingress], egress: [{}]'), 'TCP/80', EVERYBODY],
    [core('egress: [{ports: [{port: https}]}]'), 'TCP/443', ''],
  ]);
});

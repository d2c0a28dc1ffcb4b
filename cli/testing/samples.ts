/** What agents and operators of a running cluster answered. */

/** A connection from a pod of node1 to a pod of node2, as node2's agent tells it. */
export const allowedFlow = JSON.stringify({
  number: 3192,
  time: '2026-11-24T16:58:06.332Z',
  node: 'node2',
  type: 'new',
  verdict: 'forwarded',
  reason: 'policy-allowed',
  direction: 'ingress',
  protocol: 'TCP',
  source: { address: '10.244.0.3', port: 41598 },
  destination: {
    address: '10.244.1.2',
    port: 80,
    pod: {
      namespace: 'shop',
      name: 'api-v2-b4647cdf8-t787b',
      uid: 'e6bd0d5e-0286-4c30-8652-5b35784a73fa',
      labels: { app: 'api', version: 'v2' },
    },
  },
  reply: false,
  ingress: {
    set: 'd6c31b97f0575859',
    rule: { policy: 'CiliumClusterwideNetworkPolicy/cluster-only', direction: 'ingress', index: 0, deny: false },
  },
  packets: 0,
  bytes: 0,
});

/** A connection to a Service that no rule allows. */
export const deniedFlow = JSON.stringify({
  number: 77,
  time: '2026-11-24T16:55:01.464Z',
  node: 'node1',
  type: 'drop',
  verdict: 'dropped',
  reason: 'default-deny',
  direction: 'ingress',
  protocol: 'TCP',
  source: {
    address: 'fd00:10:244::5',
    port: 58530,
    pod: { namespace: 'shop', name: 'stranger-78879d4479-5qbfh', uid: 'u', labels: {} },
  },
  destination: { address: 'fd00:10:244::4', port: 80 },
  service: { address: 'fd00:10:96::b378', port: 80 },
  reply: false,
  ingress: { set: 'a0', defaultDeny: ['CiliumNetworkPolicy/shop/api-from-frontend'] },
  packets: 0,
  bytes: 0,
});

/** A request that Envoy passed on, and one that it refused. */
export const requestFlow = (more: object = {}): string =>
  JSON.stringify({
    number: 90,
    time: '2026-11-24T16:58:07.000Z',
    node: 'node2',
    type: 'request',
    verdict: 'allowed',
    reason: 'http-allowed',
    explanation: 'a rule matches the request',
    direction: 'ingress',
    protocol: 'TCP',
    source: { address: '10.244.0.3', port: 41598 },
    destination: {
      address: '10.244.1.2',
      port: 80,
      pod: { namespace: 'shop', name: 'api-v2-b4647cdf8-t787b', uid: 'u', labels: {} },
    },
    reply: false,
    ingress: {
      set: 'd6c31b97f0575859',
      rule: { policy: 'CiliumNetworkPolicy/shop/api', direction: 'ingress', index: 0, deny: false },
    },
    packets: 0,
    bytes: 514,
    http: {
      method: 'GET',
      path: '/api/v1/users',
      authority: 'api',
      protocol: 'HTTP/1.1',
      status: 200,
      durationMs: 3,
      receivedBytes: 0,
      sentBytes: 514,
      userAgent: 'curl/7.88.1',
      flags: '',
      details: 'via_upstream',
    },
    ...more,
  });

export const explained = (decision: object): object => ({
  decisions: [
    {
      direction: 'ingress',
      pod: 'shop/api-v2-b4647cdf8-t787b',
      peer: '10.244.0.3',
      class: '7b5d821b9d8e0ffd',
      kind: 'pod',
      set: 'd6c31b97f0575859',
      verdict: 'allow',
      reason: 'rule',
      rule: { policy: 'CiliumClusterwideNetworkPolicy/cluster-only', direction: 'ingress', index: 0, deny: false },
      entry: { protocol: 0, port: 0, portBits: 0 },
      ...decision,
    },
  ],
});

/** Two nodes, two policies of which one makes the other ineffective. */
export const snapshotAnswer = {
  operator: {
    version: '0.1.0',
    identity: 'weft-operator-d865fc68d-ws5b6-df991c',
    leader: true,
    ready: true,
    waitingFor: [],
    absent: [],
  },
  nodes: ['node1', 'node2'].map((name) => ({
    name,
    connected: true,
    agentVersion: '0.1.0',
    synced: true,
    policySets: { enforced: 2, of: 2 },
    errors: [],
    conditions: [],
  })),
  policies: [
    {
      kind: 'CiliumClusterwideNetworkPolicy',
      namespace: '',
      name: 'cluster-only',
      generation: 1,
      pods: 5,
      nodes: { enforced: 2, of: 2, missing: [] },
      problems: [],
      ineffective: [],
    },
    {
      kind: 'CiliumNetworkPolicy',
      namespace: 'shop',
      name: 'api-from-frontend',
      generation: 1,
      pods: 2,
      nodes: { enforced: 2, of: 2, missing: [] },
      problems: [],
      ineffective: [
        {
          by: { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'cluster-only' },
          direction: 'ingress',
          message:
            'cluster-only already allows everything that api-from-frontend allows to the same pods; api-from-frontend restricts nothing',
        },
      ],
    },
  ],
  meshServices: [
    { namespace: 'shop', name: 'api', generation: 2, nodes: { enforced: 2, of: 2, missing: [] }, problems: [] },
  ],
  problems: [],
};

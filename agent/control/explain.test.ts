import { expect, test } from '@jest/globals';
import type { PolicySet } from '@weft/node-api';
import type { PolicyRow } from 'bpf-loader-napi';
import { RuleTables } from '../flows/rules.ts';
import { explain } from './explain.ts';

const SET = 0x11n;
const api = { slot: 1, ifindex: 7, uid: 'api', namespace: 'shop', name: 'api', ipv4: '10.244.1.3' };
const policy = { kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'api', generation: 1n };
const match = (path: string) => ({ method: 'GET', path, host: '', headers: [] });
const rule = (index: number, path: string) => ({
  policy,
  direction: 0 as const,
  index,
  deny: false,
  reason: '',
  http: [match(path)],
});
const key = { direction: 0, protocol: 6, port: 80, portBits: 16, verdict: 2, rule: 0 } as const;

/** Two listeners whose first rule is the same. */
const set: PolicySet = {
  id: SET,
  entries: [
    { ...key, class: 5n, listener: 0xaan },
    { ...key, class: 6n, listener: 0xbbn },
  ],
  rules: [rule(0, '/a'), rule(1, '/b')],
  ingressDefaultDeny: [policy],
  egressDefaultDeny: [],
  listeners: [
    { id: 0xaan, rules: [0] },
    { id: 0xbbn, rules: [0, 1] },
  ],
};

/** What the kernel would answer for a peer of this class. */
const kernel = (peerClass: bigint) => {
  const row: PolicyRow = {
    table: 'policy',
    set: SET,
    class: peerClass,
    direction: 'ingress',
    protocol: 6,
    port: 80,
    portBits: 16,
    verdict: 'proxy',
    rule: 0,
    proxyPort: 10_000,
  };
  return {
    lookupAddress: async () => ({
      table: 'addresses' as const,
      prefix: '10.0.0.0/8',
      class: peerClass,
      kind: 'pod' as const,
    }),
    lookupPolicy: async () => row,
    dump: async (table: string) =>
      table === 'pods' ? [{ table: 'pods' as const, slot: 1, ifindex: 7, set: SET, ipv4: '10.244.1.3' }] : [],
    attachedPods: async () => [7],
  };
};

const ask = async (peerClass: bigint, known: PolicySet | undefined) => {
  const rules = new RuleTables();
  if (known) rules.record(SET, known, 0);
  const asked = { source: '10.244.2.9', destination: 'shop/api', protocol: 6, port: 80 };
  const [decision] = await explain(asked, { pods: [api] }, kernel(peerClass), rules);
  return decision;
};

test('where Envoy decides, the rules behind the listener of this very entry are told with their matches', async () => {
  const name = { policy: 'CiliumNetworkPolicy/shop/api', direction: 'ingress', deny: false };
  expect(await ask(5n, set)).toMatchObject({ verdict: 'proxy', reason: 'rule', rule: { ...name, index: 0 } });
  expect((await ask(5n, set))?.listener).toEqual({
    id: '00000000000000aa',
    rules: [{ ...name, index: 0, http: [match('/a')] }],
  });
  expect((await ask(6n, set))?.listener).toEqual({
    id: '00000000000000bb',
    rules: [
      { ...name, index: 0, http: [match('/a')] },
      { ...name, index: 1, http: [match('/b')] },
    ],
  });
});

test('a listener that the agent does not know is left out', async () => {
  expect((await ask(5n, undefined))?.listener).toBeUndefined();
  expect((await ask(7n, set))?.listener).toBeUndefined();
});

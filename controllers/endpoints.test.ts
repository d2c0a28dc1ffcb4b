import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { leaseKind, systemClock } from 'kopf-ts';
import { OperatorEndpoints } from './endpoints.ts';
import { endpointSliceKind } from './kinds.ts';
import { eventually, TestCluster } from './testing/cluster.ts';

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.start();
}, 300_000);

afterAll(() => cluster?.stop());

interface Replica {
  readonly stop: () => Promise<void>;
  readonly endpoints: OperatorEndpoints;
}

function replica(identity: string, address: string): Replica {
  const endpoints = new OperatorEndpoints({
    client: cluster.admin,
    namespace: 'weft-system',
    identity,
    address,
    port: 15_443,
    clock: systemClock,
    log: () => {},
    beatMs: 100,
    deadMs: 1_000,
  });
  const abort = new AbortController();
  const ended = endpoints.run(abort.signal);
  return {
    endpoints,
    stop: async () => {
      abort.abort();
      await ended;
    },
  };
}

async function listed(): Promise<string[]> {
  const slice = await cluster.admin.get(endpointSliceKind, { namespace: 'weft-system', name: 'weft-operator' });
  return (slice.endpoints ?? []).flatMap(({ addresses }) => addresses);
}

test('replicas that start at once all get listed; a dead one leaves, one that stops leaves at once', async () => {
  const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
  const replicas = addresses.map((address, index) => replica(`r${index}`, address));
  await eventually(async () => expect(await listed()).toEqual(addresses));
  // Killed: its Lease stays as it is.
  const metadata = {
    namespace: 'weft-system',
    name: 'weft-operator-dead',
    labels: { 'weft.dev/replica-of': 'weft-operator' },
    annotations: { 'weft.dev/address': '192.0.2.9' },
  };
  await cluster.admin.apply(leaseKind, { metadata, spec: { holderIdentity: 'dead' } }, { fieldManager: 'test' });
  const dead = replica('killed', '192.0.2.9');
  await eventually(async () => expect(await listed()).toContain('192.0.2.9'));
  await dead.stop();
  await cluster.admin.apply(leaseKind, { metadata, spec: { holderIdentity: 'dead' } }, { fieldManager: 'test' });
  const slice = await cluster.admin.get(endpointSliceKind, { namespace: 'weft-system', name: 'weft-operator' });
  const endpoints = [...(slice.endpoints ?? []), { addresses: ['192.0.2.9'] }];
  await cluster.admin.patch(endpointSliceKind, slice.metadata, { endpoints });

  const abort = new AbortController();
  const sweeping = replicas[0]?.endpoints.sweep(abort.signal);
  await eventually(async () => expect(await listed()).toEqual(addresses));
  await eventually(async () => {
    const leases = await cluster.admin.list(leaseKind, { namespace: 'weft-system' });
    expect(leases.map((lease) => lease.metadata.name)).not.toContain('weft-operator-dead');
  });
  await replicas[2]?.stop();
  expect(await listed()).toEqual(addresses.slice(0, 2));
  abort.abort();
  await sweeping;
  await Promise.all(replicas.map((each) => each.stop()));
  expect(await listed()).toEqual([]);
}, 30_000);

test('an EndpointSlice that somebody spoiled is put right', async () => {
  const one = replica('one', '192.0.2.1');
  await eventually(async () => expect(await listed()).toEqual(['192.0.2.1']));
  const metadata = { namespace: 'weft-system', name: 'weft-operator' };
  await cluster.admin.patch(endpointSliceKind, metadata, {
    endpoints: [],
    ports: [{ name: 'grpc', port: 1, protocol: 'TCP' }],
  });
  await eventually(async () => {
    const slice = await cluster.admin.get(endpointSliceKind, metadata);
    expect(slice).toMatchObject({ endpoints: [{ addresses: ['192.0.2.1'] }], ports: [{ port: 15_443 }] });
  });
  await cluster.admin.delete(endpointSliceKind, metadata);
  await eventually(async () => expect(await listed()).toEqual(['192.0.2.1']));
  await one.stop();
});

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from 'kopf-ts';
import { z } from 'zod';
import {
  crdKind,
  grpcRouteKind,
  httpRouteKind,
  l7RouteKind,
  namespaceKind,
  referenceGrantKind,
  serviceKind,
} from './kinds.ts';
import { create, eventually, type RunningOperator, TestCluster } from './testing/cluster.ts';
import { gatewayCrd, installGatewayCrd } from './testing/gateway-api.ts';

let cluster: TestCluster;
let running: RunningOperator;

beforeAll(async () => {
  cluster = await TestCluster.start();
  for (const name of ['shop', 'other']) await cluster.admin.create(namespaceKind, { metadata: { name } });
  for (const [namespace, name] of [
    ['shop', 'api'],
    ['other', 'far'],
  ] as const) {
    const ports = [{ name: 'http', port: 80 }];
    await create(cluster.admin, serviceKind, { metadata: { namespace, name }, spec: { ports } });
  }
  running = await cluster.operator({ timing: { patience: 0, impatience: 0 } });
}, 300_000);

afterAll(async () => {
  await cluster?.stop();
});

const toApi = { group: '', kind: 'Service', name: 'api', port: 80 };

const parentsSchema = z.object({
  status: z.object({
    parents: z.array(
      z.object({
        parentRef: z.looseObject({ name: z.string() }),
        controllerName: z.string(),
        conditions: z.array(
          z.object({
            type: z.string(),
            status: z.string(),
            reason: z.string(),
            message: z.string(),
            observedGeneration: z.number(),
            lastTransitionTime: z.string(),
          }),
        ),
      }),
    ),
  }),
});
type Parent = z.output<typeof parentsSchema>['status']['parents'][number];

async function parentsOf(name: string, kind = httpRouteKind): Promise<Parent[]> {
  return parentsSchema.parse(await cluster.admin.get(kind, { namespace: 'shop', name })).status.parents;
}

/** The status of a parent as lines `Type=Status Reason`. */
function lines(parent: Parent | undefined): string[] {
  return (parent?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`).sort();
}

function route(name: string, rules: unknown, parentRefs: unknown = [toApi]): KubeObject & Record<string, unknown> {
  return { metadata: { namespace: 'shop', name }, spec: { parentRefs, rules } };
}

const theirs = {
  parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge' },
  controllerName: 'example.com/gateway',
  conditions: [
    {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: '',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ],
};

describe('kinds of the Gateway API', () => {
  test('are waited for by nobody where they are not installed, and not complained about', async () => {
    const { ready, absent } = running.operator.snapshot().operator;
    expect({ ready, absent }).toMatchObject({
      ready: true,
      absent: expect.arrayContaining(['GRPCRoute', 'HTTPRoute', 'ReferenceGrant']),
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const complaints = running.log.filter((line) => line.includes('httproutes'));
    expect(complaints.length).toBeLessThanOrEqual(2);
    expect(complaints.join('\n')).toMatch(/httproutes\S* is not installed; its objects count as soon as it is/);
  });

  test('count when they are installed while the operator runs, also if only an older version of one is served', async () => {
    const grpc = await gatewayCrd('grpcroutes');
    const old = grpc.spec.versions.map((version) => ({ ...version, name: 'v1alpha2' }));
    await installGatewayCrd(cluster.admin, { ...grpc, spec: { ...grpc.spec, versions: old } });
    for (const plural of ['httproutes', 'referencegrants']) {
      await installGatewayCrd(cluster.admin, await gatewayCrd(plural));
    }
    const other = await cluster.operator({ timing: { patience: 0, impatience: 0 } });
    expect(other.operator.snapshot().operator).toMatchObject({ ready: true });
    expect(other.operator.snapshot().operator.absent).toEqual(['GRPCRoute', 'L7Route', 'MeshService']);
    expect(other.log.join('\n')).toMatch(/grpcroutes\S* is installed without version v1;/);
    await other.stop();
    await eventually(
      () => expect(running.operator.snapshot().operator.absent).toEqual(['GRPCRoute', 'L7Route', 'MeshService']),
      45_000,
    );
  }, 60_000);
});

describe('the status of an HTTPRoute', () => {
  test('says of each Service whether the route is attached to it, and nothing of the Gateways of others', async () => {
    const edge = { name: 'edge' };
    const consumer = { group: '', kind: 'Service', name: 'far', namespace: 'other' };
    await create(
      cluster.admin,
      httpRouteKind,
      route('mixed', [{ backendRefs: [{ name: 'api', port: 80 }] }], [edge, consumer, toApi]),
    );
    const parents = await eventually(async () => {
      const found = await parentsOf('mixed');
      expect(found).toHaveLength(2);
      return found;
    });
    expect(parents.map(({ parentRef, controllerName }) => [parentRef, controllerName])).toEqual([
      [consumer, 'weft.dev/gateway-controller'],
      [toApi, 'weft.dev/gateway-controller'],
    ]);
    expect(lines(parents[0])).toContain('Accepted=False UnsupportedValue');
    expect(lines(parents[1])).not.toContain('Accepted=False UnsupportedValue');
  });

  test('explains what is not understood, by field, and takes it back when it is repaired', async () => {
    const wrong = [{ filters: [{ type: 'CORS', cors: { allowOrigins: ['*'] } }] }];
    await create(cluster.admin, httpRouteKind, route('wrong', wrong));
    const [refused] = await eventually(() => parentsOf('wrong'));
    expect(lines(refused)).toEqual(['Accepted=False UnsupportedValue', 'ResolvedRefs=Unknown Pending']);
    expect(refused?.conditions[0]).toMatchObject({ observedGeneration: 1 });
    expect(refused?.conditions[0]?.message).toMatch(/spec\.rules\[0\]\.filters\[0\]\.type: "CORS" is not supported/);

    await cluster.admin.patch(
      httpRouteKind,
      { namespace: 'shop', name: 'wrong' },
      { spec: { rules: [{ backendRefs: [{ name: 'api', port: 80 }] }] } },
    );
    await eventually(async () => {
      const [repaired] = await parentsOf('wrong');
      expect(lines(repaired)).not.toContain('Accepted=False UnsupportedValue');
      expect(repaired?.conditions.map(({ observedGeneration }) => observedGeneration)).toEqual([2, 2]);
    });
  });

  test('leaves the entries of other controllers alone, and comes back when one of them drops it', async () => {
    const name = 'shared';
    await create(cluster.admin, httpRouteKind, route(name, undefined));
    const [ours] = await eventually(() => parentsOf(name));
    await cluster.admin.patchStatus(httpRouteKind, { namespace: 'shop', name }, { parents: [theirs] });
    await eventually(async () =>
      expect(await parentsOf(name)).toEqual([theirs, ours && expect.objectContaining({ parentRef: ours.parentRef })]),
    );
  });

  test('is taken away from a route that is a Gateway’s only from now on', async () => {
    const name = 'moved';
    await create(cluster.admin, httpRouteKind, route(name, undefined));
    await eventually(async () => expect(await parentsOf(name)).toHaveLength(1));
    await cluster.admin.patchStatus(
      httpRouteKind,
      { namespace: 'shop', name },
      { parents: [...(await parentsOf(name)), theirs] },
    );
    await cluster.admin.patch(httpRouteKind, { namespace: 'shop', name }, { spec: { parentRefs: [{ name: 'edge' }] } });
    await eventually(async () => expect(await parentsOf(name)).toEqual([theirs]));
  });

  test('is written once for each change of the route: what changes nothing writes nothing', async () => {
    const name = 'quiet';
    await create(cluster.admin, httpRouteKind, route(name, undefined));
    await eventually(() => parentsOf(name));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const version = async (): Promise<unknown> =>
      (await cluster.admin.get(httpRouteKind, { namespace: 'shop', name })).metadata.resourceVersion;
    const before = await version();
    await cluster.addNode('node-z', 9);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await version()).toBe(before);
  });

  test('changes when a ReferenceGrant comes or goes', async () => {
    const name = 'crossing';
    const rules = [{ backendRefs: [{ name: 'far', namespace: 'other', port: 80 }] }];
    await create(cluster.admin, httpRouteKind, route(name, rules));
    const denied = 'ResolvedRefs=False RefNotPermitted';
    await eventually(async () => expect(lines((await parentsOf(name))[0])).toContain(denied));
    const grant = { namespace: 'other', name: 'shop' };
    await create(cluster.admin, referenceGrantKind, {
      metadata: grant,
      spec: {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }],
        to: [{ group: '', kind: 'Service', name: 'far' }],
      },
    });
    await eventually(async () => expect(lines((await parentsOf(name))[0])).not.toContain(denied));
    await cluster.admin.delete(referenceGrantKind, grant);
    await eventually(async () => expect(lines((await parentsOf(name))[0])).toContain(denied));
  });
});

test('a GRPCRoute is read and has a status too, as soon as v1 is served', async () => {
  const { spec, metadata } = await gatewayCrd('grpcroutes');
  await cluster.admin.delete(crdKind, metadata);
  await eventually(async () => {
    await installGatewayCrd(cluster.admin, {
      metadata: { name: metadata.name, annotations: metadata.annotations },
      spec,
    });
  });
  const method = { method: { service: 'shop.Cart', method: 'Add' } };
  const rules = [{ matches: [method], backendRefs: [{ name: 'api', port: 80, kind: 'Bucket', group: 'storage.dev' }] }];
  await eventually(() => create(cluster.admin, grpcRouteKind, route('cart', rules)));
  await eventually(async () => {
    expect(lines((await parentsOf('cart', grpcRouteKind))[0])).toContain('ResolvedRefs=False InvalidKind');
  }, 45_000);
}, 90_000);

test('an L7Route that is not understood is not ready, and says which field', async () => {
  await cluster.installWeftCrds();
  const rules = [
    {
      matches: [{ headers: [{ name: 'X-A', type: 'RegularExpression', value: '(' }] }],
      backends: [{ name: 'api', port: 80 }],
    },
  ];
  const spec = { parentRefs: [{ name: 'api' }], rules };
  await eventually(() => create(cluster.admin, l7RouteKind, { metadata: { namespace: 'shop', name: 'wrong' }, spec }));
  await eventually(async () => {
    const { status } = await cluster.admin.get(l7RouteKind, { namespace: 'shop', name: 'wrong' });
    expect(status).toMatchObject({
      observedGeneration: 1,
      conditions: [
        expect.objectContaining({
          type: 'Accepted',
          status: 'False',
          message: expect.stringMatching(/headers\[0\]\.value: "\(" is not a regular expression/),
        }),
        expect.objectContaining({ type: 'ResolvedRefs', status: 'Unknown' }),
        expect.objectContaining({ type: 'Programmed', status: 'False' }),
        expect.objectContaining({ type: 'Enforced', status: 'False' }),
        expect.objectContaining({ type: 'Ready', status: 'False', reason: 'Invalid' }),
      ],
    });
  }, 45_000);
}, 60_000);

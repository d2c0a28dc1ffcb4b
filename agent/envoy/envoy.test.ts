import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { hex64 } from '../tables/hash.ts';
import { FakeEnvoy } from '../testing/envoy.ts';
import { endpoint, envoy, httpSet, policySet, service } from '../testing/resources.ts';
import { TestNode, until } from '../testing/test-node.ts';
import { listenerAddress } from './address.ts';
import { CLUSTER_TYPE, LISTENER_TYPE, ROUTE_TYPE } from './resources.ts';

const SET = 0x101n;
const ONE = 0xfedcba9876543210n;
const TWO = 0x2n;
const PATIENCE_MS = 1_000;

const nameOf = (id: bigint): string => `l7/${hex64(id)}`;
const listener = (id: bigint, text = 'listener') => envoy('listener', nameOf(id), Buffer.from(text), id);
const route = (id: bigint, text = 'routes') => envoy('route', nameOf(id), Buffer.from(text));
const cluster = envoy('cluster', 'origin', Buffer.from('cluster'));

async function timed<T>(task: Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  return [await task, performance.now() - started];
}

let node: TestNode;
beforeEach(async () => {
  node = await new TestNode({ patienceMs: PATIENCE_MS }).start();
});
afterEach(() => node.stop());

describe('rows that point at Envoy', () => {
  test('are written once Envoy has the listener on that port, its routes, and gets new connections', async () => {
    const { envoy: real } = await node.pod(3);
    const seen: unknown[] = [];
    node.model.onWrite = () => {
      if (node.proxyRows().length > 0)
        seen.push([real.names(LISTENER_TYPE), real.names(ROUTE_TYPE), node.model.rows('proxy')]);
    };
    await node.batch([cluster, listener(ONE), route(ONE), httpSet(SET, 7n, ONE)]);
    const name = nameOf(ONE);
    expect(seen).toEqual([[[name], [name], [{ table: 'proxy', slot: 3 }]]]);
    const [port = 0] = node.proxyRows();
    expect(port).toBe(node.ports.portOf(ONE));
    const bytes = Buffer.from(real.held[LISTENER_TYPE]?.get(name) ?? []);
    expect(bytes).toEqual(Buffer.concat([Buffer.from('listener'), listenerAddress(port, true)]));
    expect(Buffer.from(real.held[CLUSTER_TYPE]?.get('origin') ?? []).toString()).toBe('cluster');
  });

  test('of a Service with routes are written once Envoy has its listener, and end with the routes', async () => {
    const { envoy: real } = await node.pod(3);
    const frontend = () => node.model.rows('services').map((row) => (row.table === 'services' ? row.proxyPort : 0));
    await node.batch([service('api', ['10.96.0.5', 'fd00:96::5'], ['10.0.0.4'])]);
    expect(frontend()).toEqual([undefined, undefined]);
    const seen: unknown[] = [];
    node.model.onWrite = () => {
      if (frontend().some((port) => port !== undefined)) seen.push(real.names(LISTENER_TYPE));
    };
    const routes = [listener(ONE), route(ONE), envoy('endpoints', 'service/shop/api/80', Buffer.from('endpoints'))];
    await node.batch([...routes, service('api', ['10.96.0.5', 'fd00:96::5'], ['10.0.0.4'], ONE)]);
    const port = node.ports.portOf(ONE);
    expect(frontend()).toEqual([port, port]);
    expect(seen[0]).toEqual([nameOf(ONE)]);
    expect(await node.tables.repair()).toEqual([]);
    real.refuses = (name) => (name === nameOf(TWO) ? 'no such filter' : undefined);
    const refused = [listener(TWO), route(TWO), service('api', ['10.96.0.5', 'fd00:96::5'], ['10.0.0.5'], TWO)];
    const outcomes = await node.batch(refused);
    expect(outcomes).toContainEqual(
      expect.objectContaining({ name: 'service/shop/api', error: expect.stringContaining('no such filter') }),
    );
    expect(frontend()).toEqual([port, port]);
    await node.restart();
    expect(frontend()).toEqual([port, port]);
    await node.batch(
      [service('api', ['10.96.0.5', 'fd00:96::5'], ['10.0.0.4'])],
      routes.map(([name]) => name),
    );
    expect(frontend()).toEqual([undefined, undefined]);
  });

  test('wait for an Envoy that does not answer no longer than they may, and not at all for what they point at', async () => {
    const { envoy: real } = await node.pod(0);
    await node.batch([listener(ONE), route(ONE), httpSet(SET, 7n, ONE)]);
    real.silent = true;
    const second = [
      listener(TWO),
      route(TWO),
      httpSet(0x201n, 7n, TWO),
      listener(5n),
      httpSet(0x301n, 7n, 5n),
    ] as const;
    const [, ms] = await timed(node.batch(second));
    expect(ms).toBeGreaterThan(PATIENCE_MS * 0.9);
    expect(ms).toBeLessThan(PATIENCE_MS * 1.5);
    expect(node.proxyRows()).toHaveLength(3);
    const [, again] = await timed(node.batch([route(ONE, 'other'), httpSet(SET, 8n, ONE)]));
    expect(again).toBeLessThan(PATIENCE_MS / 2);
  });

  test('are written at once where there is no proxy, and for a listener that nobody has described', async () => {
    const [outcomes, ms] = await timed(node.batch([listener(ONE), route(ONE), httpSet(SET, 7n, ONE)]));
    expect(ms).toBeLessThan(PATIENCE_MS / 2);
    expect(outcomes.every(({ error }) => error === undefined)).toBe(true);
    await node.pod(0);
    const [, unknown] = await timed(node.batch([httpSet(0x201n, 7n, TWO)]));
    expect(unknown).toBeLessThan(PATIENCE_MS / 2);
    expect(node.proxyRows()).toHaveLength(2);
  });

  test('of a listener that Envoy refuses are not written: the set stays as it was until Envoy takes it', async () => {
    const { envoy: real } = await node.pod(0);
    const good = await node.batch([policySet(SET, 7n)]);
    const before = node.model.rows('policy');
    real.refuses = (name) => (name === nameOf(ONE) ? 'the filter is unknown' : undefined);
    const outcomes = await node.batch([listener(ONE), route(ONE), httpSet(SET, 7n, ONE), policySet(0x201n, 7n)]);
    const held = outcomes.find(({ name }) => name.startsWith('envoy/listener/'));
    expect(outcomes).toContainEqual({
      name: `policyset/${hex64(SET)}`,
      version: good[0]?.version,
      error: expect.stringContaining('the filter is unknown'),
    });
    expect(outcomes).toContainEqual({
      name: `policyset/${hex64(0x201n)}`,
      version: expect.any(String),
      error: undefined,
    });
    expect(outcomes).toContainEqual({
      name: `envoy/listener/${nameOf(ONE)}`,
      version: expect.any(String),
      error: 'Envoy refuses it: the filter is unknown',
    });
    expect(node.model.rows('policy')).toEqual([...before, expect.objectContaining({ set: 0x201n, verdict: 'allow' })]);
    expect(await node.tables.repair()).toEqual([]);

    real.refuses = () => undefined;
    const mended = await node.batch([listener(ONE, 'good')]);
    expect(mended).toContainEqual({ name: `policyset/${hex64(SET)}`, version: held?.version, error: undefined });
    expect(node.proxyRows()).toEqual([node.ports.portOf(ONE)]);
    expect(node.tables.holdsBack).toBe(false);
    await until(() => node.reported.at(-1)?.error === undefined);
  });

  test('a set that is new is applied all the same: only connections that need the listener are refused', async () => {
    const { envoy: real } = await node.pod(0);
    real.refuses = () => 'no';
    const outcomes = await node.batch([endpoint('u1', 'api', SET, 7n), listener(ONE), httpSet(SET, 7n, ONE)]);
    expect(outcomes).toContainEqual(
      expect.objectContaining({ name: `policyset/${hex64(SET)}`, error: expect.any(String) }),
    );
    expect(node.proxyRows()).toHaveLength(1);
    // The error lasts as long as Envoy refuses it, and no longer.
    expect(await node.batch([])).toEqual([expect.objectContaining({ error: expect.stringContaining('no') })]);
    real.refuses = () => undefined;
    const mended = await node.batch([listener(ONE, 'good')]);
    expect(mended).toContainEqual(expect.objectContaining({ name: `policyset/${hex64(SET)}`, error: undefined }));
    expect(node.tables.holdsBack).toBe(false);
  });

  test('go before the listener does', async () => {
    const { envoy: real } = await node.pod(0);
    await node.batch([listener(ONE), route(ONE), httpSet(SET, 7n, ONE)]);
    await node.batch([policySet(SET, 7n)], [`envoy/listener/${nameOf(ONE)}`, `envoy/route/${nameOf(ONE)}`]);
    expect(node.proxyRows()).toEqual([]);
    expect(real.names(LISTENER_TYPE)).toEqual([nameOf(ONE)]);
    await until(() => real.names(LISTENER_TYPE).length === 0 && real.names(ROUTE_TYPE).length === 0);
    expect(node.ports.portOf(ONE)).toBeUndefined();
  });

  test('keep their listener while the set that no longer names it is held back', async () => {
    const { envoy: real } = await node.pod(0);
    await node.batch([listener(ONE), route(ONE), httpSet(SET, 7n, ONE)]);
    real.refuses = (name) => (name === nameOf(TWO) ? 'no' : undefined);
    await node.batch([listener(TWO), httpSet(SET, 7n, TWO)], [`envoy/listener/${nameOf(ONE)}`]);
    await sleep(200);
    expect(real.names(LISTENER_TYPE)).toEqual([nameOf(ONE)]);
    expect(node.proxyRows()).toEqual([node.ports.portOf(ONE)]);
  });
});

describe('the proxies of a node', () => {
  test('run while there are listeners, and a little longer', async () => {
    const { supervisor } = await node.pod(0);
    await node.batch([listener(ONE)]);
    await node.batch([], [`envoy/listener/${nameOf(ONE)}`]);
    await node.batch([listener(ONE)]);
    await sleep(300);
    await node.batch([], [`envoy/listener/${nameOf(ONE)}`]);
    expect(supervisor.told).toEqual([{ run: false }, { run: true }]);
    await until(() => supervisor.told.length === 3);
    expect(supervisor.told.at(-1)).toEqual({ run: false });
  });

  test('take over from each other once they have everything; the old one is then told to go', async () => {
    const old = await node.pod(0);
    await node.batch([cluster, listener(ONE), route(ONE), httpSet(SET, 7n, ONE)]);
    await until(() => node.tables.proxy === 0);
    const fresh = await node.pod(1);
    await until(() => node.tables.proxy === 1);
    expect(fresh.envoy.names(LISTENER_TYPE)).toEqual([nameOf(ONE)]);
    old.supervisor.say('draining');
    await until(() => old.supervisor.told.some((told) => JSON.stringify(told) === '{"retired":true}'));
    node.proxies.shift();
    await node.tables.removePod(0);
    expect(node.model.rows('proxy')).toEqual([{ table: 'proxy', slot: 1 }]);
    await node.tables.removePod(1);
    expect(node.model.rows('proxy')).toEqual([]);
  });

  test('are those that the node gave a network; others get no configuration', async () => {
    const stranger = new FakeEnvoy(join(node.dir, 'envoy'), 'uid-9');
    node.fakes.push(stranger);
    await until(() => stranger.error !== undefined);
    expect(stranger.error).toContain('not the uid of a proxy pod');
    expect(statSync(join(node.dir, 'envoy')).mode & 0o777).toBe(0o750);
    expect(statSync(join(node.dir, 'envoy', 'xds.sock')).mode & 0o777).toBe(0o660);
  });

  test('are reached by nobody but through the kernel, and lose what they may when the operator says so', async () => {
    await node.pod(0);
    expect(node.model.pods()).toMatchObject([{ slot: 0, set: 3n, proxy: true }]);
    await node.batch([], ['endpoint/uid-0']);
    expect(node.model.pods()).toMatchObject([{ slot: 0, set: 3n }]);
    expect(node.model.pods()[0]?.proxy).toBeUndefined();
  });

  test('a row of the kernel that points elsewhere is put right', async () => {
    await node.pod(0);
    await node.batch([listener(ONE)]);
    await until(() => node.tables.proxy === 0);
    node.model.write([{ op: 'upsert', rows: [{ table: 'proxy', slot: 5 }] }]);
    expect(await node.tables.repair()).toEqual([{ table: 'proxy', missing: 0, different: 1, extra: 0 }]);
    expect(node.model.rows('proxy')).toEqual([{ table: 'proxy', slot: 0 }]);
  });
});

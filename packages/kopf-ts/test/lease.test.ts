import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type KubeClient, LeaderElection, type Leadership, leaseKind } from '../src/index.ts';
import { ApiServer } from './apiserver.ts';
import { until } from './kinds.ts';

let server: ApiServer;
let client: KubeClient;

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client();
}, 900_000);

afterAll(async () => {
  client?.close();
  await server?.stop();
});

function candidate(name: string, identity: string) {
  const stop = new AbortController();
  const state: { leadership: Leadership | undefined; lost: number } = { leadership: undefined, lost: 0 };
  const election = new LeaderElection({
    client,
    namespace: 'default',
    name,
    identity,
    leaseMs: 3000,
    renewDeadlineMs: 2000,
    retryMs: 200,
    onError: () => {},
  });
  const running = election.run(stop.signal, async (leadership) => {
    state.leadership = leadership;
    await new Promise<void>((resolve) => leadership.stopping.addEventListener('abort', () => resolve()));
    state.lost++;
  });
  return { state, stop: () => stop.abort(), running };
}

test('one of two leads; when it stops, the other takes over at once; terms count up', async () => {
  const a = candidate('handover', 'a');
  await until('a to lead', () => a.state.leadership?.holds() === true);
  const b = candidate('handover', 'b');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(b.state.leadership).toBeUndefined();
  a.stop();
  await a.running;
  const released = await client.get(leaseKind, { namespace: 'default', name: 'handover' });
  expect(['', 'b']).toContain(released.spec?.holderIdentity ?? '');
  await until('b to lead', () => b.state.leadership?.holds() === true);
  expect(b.state.leadership?.term).toBeGreaterThan(a.state.leadership?.term ?? 0);
  b.stop();
  await b.running;
  expect(a.state.leadership?.holds()).toBe(false);
}, 60_000);

test('a leader that can not reach the API server stops before its lease runs out, and leads again afterwards', async () => {
  const a = candidate('outage', 'a');
  await until('a to lead', () => a.state.leadership?.holds() === true);
  await server.killApi();
  await until('the loss', () => a.state.lost === 1);
  expect(a.state.leadership?.holds()).toBe(false);
  server.startApi();
  await server.whenReady();
  await until('a to lead again', () => a.state.leadership?.holds() === true);
  a.stop();
  await a.running;
}, 60_000);

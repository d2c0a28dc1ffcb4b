import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Failure, KubeClient, KubeError, Watcher, type WatcherOptions } from '../src/index.ts';
import { ApiServer } from './apiserver.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import { FaultyProxy } from './faulty-proxy.ts';
import { type ConfigMap, configMap, configMaps, namespaces, serviceAccounts, until } from './kinds.ts';

let server: ApiServer;
let admin: KubeClient;
let stop: AbortController;
let running: Promise<void>[];
let failures: Failure[];
let cleanups: (() => unknown)[];
const quick = { initialMs: 5, maxMs: 200, factor: 2, jitter: 0.5 };

beforeAll(async () => {
  server = await ApiServer.start();
  admin = server.client();
  stop = new AbortController();
  running = [];
  failures = [];
  cleanups = [];
}, 900_000);

afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  for (const cleanup of cleanups) await cleanup();
  cleanups = [];
  stop = new AbortController();
  running = [];
  failures = [];
});

afterAll(async () => {
  admin?.close();
  await server?.stop();
});

function watch(
  client: KubeClient,
  namespace: string,
  more: Partial<WatcherOptions<ConfigMap, ConfigMap>> = {},
): Watcher<ConfigMap, ConfigMap> {
  const watcher = new Watcher<ConfigMap, ConfigMap>({
    client,
    kind: configMaps,
    namespace,
    transform: ({ metadata, data = {} }) => ({ metadata: { name: metadata.name }, data }),
    backoff: quick,
    onError: (failure) => failures.push(failure),
    ...more,
  });
  running.push(watcher.run(stop.signal));
  return watcher;
}

async function namespaceWith(name: string, objects: number): Promise<string> {
  await admin.create(namespaces, { metadata: { name } });
  for (let i = 0; i < objects; i++) await admin.create(configMaps, configMap(name, `base-${i}`, 0));
  return name;
}

function valuesOf(watcher: Watcher<ConfigMap, ConfigMap>): Record<string, string | undefined> {
  return Object.fromEntries([...watcher.store.list()].map((each) => [each.metadata.name, each.data?.n]));
}

/** Whoever hears of a change must find every object that was never deleted. */
function neverHalf(watcher: Watcher<ConfigMap, ConfigMap>, objects: number): { readonly broken: string[] } {
  const broken: string[] = [];
  watcher.store.subscribe(() => {
    const base = [...watcher.store.list()].filter(({ metadata }) => metadata.name.startsWith('base-')).length;
    if (base !== objects) broken.push(`${base} of ${objects}`);
  });
  return { broken };
}

test('a store follows what is created, changed and deleted, and holds only what the transform left', async () => {
  const namespace = await namespaceWith('follow', 7);
  const watcher = watch(admin, namespace, { pageSize: 3 });
  const { broken } = neverHalf(watcher, 7);
  await watcher.store.ready;
  await admin.create(configMaps, configMap(namespace, 'new', 1));
  await admin.patch(configMaps, { namespace, name: 'base-0' }, { data: { n: 'ü€😀' } });
  await until(
    'the new one',
    () => watcher.store.get('follow/new') !== undefined && valuesOf(watcher)['base-0'] === 'ü€😀',
  );
  await admin.delete(configMaps, { namespace, name: 'new' });
  await until('gone', () => watcher.store.get('follow/new') === undefined);
  expect(watcher.store.get('follow/base-0')).toEqual({ metadata: { name: 'base-0' }, data: { n: 'ü€😀' } });
  expect([broken, failures, watcher.stats.lists, watcher.stats.events]).toEqual([[], [], 1, 3]);
});

test('bookmarks move the place of a quiet kind on, and no subscriber hears of them', async () => {
  const quiet = await namespaceWith('quiet', 2);
  const busy = await namespaceWith('busy', 1);
  // The API server sends one two seconds before it ends a watch.
  const watcher = watch(admin, quiet, { watchSeconds: [6, 6] });
  let told = 0;
  watcher.store.subscribe(() => told++);
  await watcher.store.ready;
  const { metadata } = await admin.patch(configMaps, { namespace: busy, name: 'base-0' }, { data: { n: '1' } });
  let n = 1;
  await until('the place to move', async () => {
    // It sends none before its cache of the kind has seen an event.
    await admin.patch(configMaps, { namespace: busy, name: 'base-0' }, { data: { n: String(++n) } });
    return BigInt(watcher.stats.resourceVersion ?? '0') >= BigInt(metadata.resourceVersion ?? '');
  });
  const { lists, events, bookmarks } = watcher.stats;
  expect([lists, events, bookmarks > 0, told, failures]).toEqual([1, 0, true, 1, []]);
}, 90_000);

test('1,000 watches cut at random bytes lose no event, repeat none, and never show half a list', async () => {
  const namespace = await namespaceWith('cut', 20);
  const proxy = await CuttingProxy.start(server.port);
  cleanups.push(() => proxy.stop());
  proxy.budget = () => Math.floor(Math.random() * 12_000);
  const clients = Array.from({ length: 8 }, () => server.client({ port: proxy.port }));
  cleanups.push(() => {
    for (const client of clients) client.close();
  });
  const watchers = clients.map((client) => watch(client, namespace, { pageSize: 6, watchSeconds: [3, 5] }));
  const halves = watchers.map((watcher) => neverHalf(watcher, 20));
  await Promise.all(watchers.map(({ store }) => store.ready));
  // A value that goes back would be an event that was applied after a later one.
  const backwards: string[] = [];
  for (const { store } of watchers) {
    store.subscribe(({ upserts, previous }) =>
      upserts.forEach((object, i) => {
        const before = Number(previous[i]?.data?.n ?? -1);
        if (Number(object.data?.n) < before) backwards.push(`${object.metadata.name} from ${before}`);
      }),
    );
  }
  let writes = 0;
  while (watchers.reduce((sum, { stats }) => sum + stats.watches, 0) < 1000) {
    writes++;
    await admin.patch(configMaps, { namespace, name: `base-${writes % 20}` }, { data: { n: String(writes) } });
  }
  proxy.budget = () => undefined;
  proxy.cut();
  const expected = Object.fromEntries(
    (await admin.list(configMaps, { namespace })).map((each) => [each.metadata.name, each.data?.n]),
  );
  for (const watcher of watchers) await until('all values', () => watcher.stats.events >= writes);
  for (const watcher of watchers) expect(valuesOf(watcher)).toEqual(expected);
  expect(watchers.map(({ stats }) => [stats.lists, stats.events])).toEqual(watchers.map(() => [1, writes]));
  expect([backwards, ...halves.map(({ broken }) => broken)]).toEqual([[], ...watchers.map(() => [])]);
  expect(proxy.cuts).toBeGreaterThan(900);
  expect(failures.every(({ error }) => error instanceof KubeError && error.reason === 'ConnectionLost')).toBe(true);
}, 180_000);

test('an API server that is killed and comes back leaves stores whole and complete', async () => {
  const namespace = await namespaceWith('killed', 30);
  const watchers = Array.from({ length: 4 }, () => watch(admin, namespace, { pageSize: 7 }));
  const halves = watchers.map((watcher) => neverHalf(watcher, 30));
  await Promise.all(watchers.map(({ store }) => store.ready));
  let done = false;
  let writes = 0;
  const writing = (async () => {
    while (!done) {
      const name = `base-${writes % 30}`;
      // Lost writes are not the question here: the API server's own list says in the end what was stored.
      await admin
        .patch(configMaps, { namespace, name }, { data: { n: String(++writes) } })
        .catch(() => new Promise((r) => setTimeout(r, 20)));
    }
  })();
  for (let round = 0; round < 2; round++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    await server.killApi();
    await until('the loss to be noticed', () => watchers.every(({ stats }) => stats.state !== 'watching'));
    expect(watchers.every(({ store }) => store.size === 30)).toBe(true);
    server.startApi();
    await server.whenReady();
  }
  done = true;
  await writing;
  const expected = Object.fromEntries(
    (await admin.list(configMaps, { namespace })).map((each) => [each.metadata.name, each.data?.n]),
  );
  for (const watcher of watchers)
    await until(
      'all values',
      () =>
        JSON.stringify(Object.entries(valuesOf(watcher)).sort()) === JSON.stringify(Object.entries(expected).sort()),
    );
  expect(halves.map(({ broken }) => broken)).toEqual(watchers.map(() => []));
  expect(failures.map(({ step }) => step)).toContain('watch');
}, 180_000);

test('a storm of 429 and other refusals is waited out, and its Retry-After honoured', async () => {
  const namespace = await namespaceWith('storm', 10);
  const proxy = await FaultyProxy.start(server.config());
  cleanups.push(() => proxy.stop());
  const faults = [
    {
      status: 429,
      headers: { 'retry-after': '1' },
      body: '{"kind":"Status","reason":"TooManyRequests","message":"slow down"}',
    },
    { status: 503, body: 'upstream connect error' },
    { status: 500, body: '{"kind":"Status","code":500,"reason":"InternalError","message":"etcdserver: timeout"}' },
    { status: 200, body: '<html>a captive portal</html>' },
    { status: 200, body: '{"type":"ADDED"}\n' },
  ];
  const asked: { readonly at: number; readonly status: number | undefined }[] = [];
  let left = 10;
  proxy.fault = () => {
    const fault = left > 0 ? faults[left-- % faults.length] : undefined;
    asked.push({ at: performance.now(), status: fault?.status });
    return fault;
  };
  const client = new KubeClient(proxy.config());
  cleanups.push(() => client.close());
  const watcher = watch(client, namespace, { pageSize: 4 });
  const { broken } = neverHalf(watcher, 10);
  await watcher.store.ready;
  await until('a watch', () => watcher.stats.state === 'watching' && left === 0);
  // A second storm hits the way back from a cut watch.
  left = 10;
  proxy.cut();
  await admin.patch(configMaps, { namespace, name: 'base-3' }, { data: { n: '99' } });
  await until('the change', () => valuesOf(watcher)['base-3'] === '99');
  asked.forEach(({ at, status }, i) => {
    const next = asked[i + 1];
    // 5 ms of play: a timer may fire a hair early.
    if (status === 429 && next !== undefined) expect(next.at - at).toBeGreaterThanOrEqual(995);
  });
  expect(asked.filter(({ status }) => status === 429)).toHaveLength(4);
  expect(broken).toEqual([]);
  expect(failures.length).toBeGreaterThanOrEqual(20);
}, 60_000);

test('an expired token is read again from its file, and refusals until then are survived', async () => {
  const namespace = await namespaceWith('token', 3);
  const account = await admin.create(serviceAccounts, { metadata: { namespace, name: 'reader' } });
  const who = { namespace, name: 'reader', uid: account.metadata.uid ?? '' };
  const bindings = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`;
  await admin.raw({
    method: 'POST',
    path: bindings,
    body: {
      metadata: { name: 'reader' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:aggregate-to-view' },
      subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace }],
    },
  });
  const dir = mkdtempSync(join(tmpdir(), 'kopf-token-'));
  const tokenFile = join(dir, 'token');
  cleanups.push(() => rmSync(dir, { recursive: true }));
  writeFileSync(tokenFile, `${server.token(who, 4)}\n`);
  const proxy = await CuttingProxy.start(server.port);
  cleanups.push(() => proxy.stop());
  const client = server.client({ port: proxy.port, tokenFile });
  cleanups.push(() => client.close());
  const watcher = watch(client, namespace);
  await watcher.store.ready;
  await until('the token to expire', async () => {
    const refused = await client.get(configMaps, { namespace, name: 'base-0' }).catch((error: unknown) => error);
    return refused instanceof KubeError && refused.status === 401;
  });
  proxy.cut();
  await until('the refusal to be noticed', () =>
    failures.some(({ error }) => error instanceof KubeError && error.status === 401),
  );
  writeFileSync(tokenFile, `${server.token(who, 600)}\n`);
  await admin.patch(configMaps, { namespace, name: 'base-0' }, { data: { n: '5' } });
  await until('the change', () => valuesOf(watcher)['base-0'] === '5');
  expect([watcher.stats.lists, watcher.stats.state]).toEqual([1, 'watching']);
}, 60_000);

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Failure, type Kind, KubeClient, KubeError, type ListOptions, type Page, Watcher } from '../src/index.ts';
import { ApiServer } from './apiserver.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import { type ConfigMap, configMap, configMaps, namespaces, until } from './kinds.ts';

let server: ApiServer;
let admin: KubeClient;

beforeAll(async () => {
  // Without its watch cache the API server asks etcd for each list and watch, which answers 410 after a compaction.
  server = await ApiServer.start({ watchCache: false });
  admin = server.client();
}, 900_000);

afterAll(async () => {
  admin?.close();
  await server?.stop();
});

interface Started {
  readonly watcher: Watcher<ConfigMap, ConfigMap>;
  readonly failures: Failure[];
  /** What subscribers saw: how many objects, after each change set. */
  readonly sizes: number[];
  stop(): Promise<void>;
}

function start(client: KubeClient, namespace: string): Started {
  const failures: Failure[] = [];
  const sizes: number[] = [];
  const stop = new AbortController();
  const watcher = new Watcher<ConfigMap, ConfigMap>({
    client,
    kind: configMaps,
    namespace,
    pageSize: 4,
    transform: (object) => object,
    backoff: { initialMs: 20, maxMs: 200, factor: 2, jitter: 0.5 },
    onError: (failure) => failures.push(failure),
  });
  watcher.store.subscribe(() => sizes.push(watcher.store.size));
  const running = watcher.run(stop.signal);
  return {
    watcher,
    failures,
    sizes,
    async stop() {
      stop.abort();
      await running;
    },
  };
}

async function namespaceWith(name: string, objects: number): Promise<string> {
  await admin.create(namespaces, { metadata: { name } });
  for (let i = 0; i < objects; i++) await admin.create(configMaps, configMap(name, `base-${i}`, 0));
  return name;
}

const isExpired = ({ error }: Failure): boolean => error instanceof KubeError && error.isExpired;

test('a watch whose history was compacted away lists again and swaps the result in as one change', async () => {
  const namespace = await namespaceWith('compacted', 10);
  const proxy = await CuttingProxy.start(server.port);
  const client = server.client({ port: proxy.port });
  const { watcher, failures, sizes, stop } = start(client, namespace);
  await watcher.store.ready;
  await until('a watch', () => watcher.stats.state === 'watching');
  // Nothing gets through from here to the compaction.
  proxy.budget = () => 0;
  proxy.cut();
  await admin.delete(configMaps, { namespace, name: 'base-0' });
  await admin.delete(configMaps, { namespace, name: 'base-1' });
  await admin.create(configMaps, configMap(namespace, 'new', 1));
  await admin.patch(configMaps, { namespace, name: 'base-2' }, { data: { n: '7' } });
  await server.compact();
  sizes.length = 0;
  proxy.budget = () => undefined;
  await until('the new object', () => watcher.store.get('compacted/new') !== undefined);
  expect(failures.some(isExpired)).toBe(true);
  expect([watcher.stats.lists, sizes, watcher.store.get('compacted/base-2')?.data]).toEqual([2, [9], { n: '7' }]);
  await stop();
  client.close();
  await proxy.stop();
}, 60_000);

test('a list whose next page was compacted away begins anew, and nobody sees the pages that were read', async () => {
  const namespace = await namespaceWith('paged', 10);
  let compactions = 0;
  /** Compacts behind the first page of the first lists. */
  class Compacting extends KubeClient {
    override async page(kind: Kind, options?: ListOptions): Promise<Page> {
      const page = await super.page(kind, options);
      if (options?.continue === undefined && page.continue !== undefined && compactions < 2) {
        compactions++;
        await admin.patch(configMaps, { namespace, name: 'base-0' }, { data: { n: String(compactions) } });
        await server.compact();
      }
      return page;
    }
  }
  const client = new Compacting(server.config());
  const { watcher, failures, sizes, stop } = start(client, namespace);
  await watcher.store.ready;
  expect([compactions, failures.filter(isExpired).length, sizes]).toEqual([2, 2, [10]]);
  await stop();
  client.close();
}, 60_000);

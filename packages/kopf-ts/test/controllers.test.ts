import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import {
  addFinalizer,
  type Condition,
  type Controller,
  conditionsOf,
  defineKind,
  EventRecorder,
  type Failure,
  type Kind,
  type KubeClient,
  type KubeObject,
  Operator,
  objectController,
  removeFinalizer,
  StatusWriter,
  type Store,
  TemporaryError,
} from '../src/index.ts';
import { ApiServer } from './apiserver.ts';
import { type ConfigMap, configMap, configMaps, namespaces, until } from './kinds.ts';

interface Service extends KubeObject {
  readonly spec: object;
  readonly status?: { readonly conditions?: readonly Condition[] };
}
const services: Kind<Service> = defineKind({
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
});

interface Event extends KubeObject {
  readonly reason: string;
  readonly note: string;
  readonly series?: { readonly count: number };
}
const events: Kind<Event> = defineKind({
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
});

let server: ApiServer;
let client: KubeClient;
let stop: AbortController;
let running: Promise<void> | undefined;
const failures: Failure[] = [];

beforeAll(async () => {
  server = await ApiServer.start();
  client = server.client();
  stop = new AbortController();
}, 900_000);

afterEach(async () => {
  stop.abort();
  await running;
  stop = new AbortController();
  failures.length = 0;
});

afterAll(async () => {
  client?.close();
  await server?.stop();
});

function operate(namespace: string, controllerOf: (store: Store<ConfigMap>) => Controller): void {
  const operator = new Operator({ client, onError: (failure) => failures.push(failure) });
  operator.add(controllerOf(operator.watch(configMaps, { namespace })));
  running = operator.run(stop.signal);
}

async function newNamespace(name: string): Promise<string> {
  await client.create(namespaces, { metadata: { name } });
  return name;
}

test('an object with a finalizer stays until its cleanup has succeeded', async () => {
  const namespace = await newNamespace('finalizers');
  const log: string[] = [];
  let blocked = true;
  operate(namespace, (store) =>
    objectController<ConfigMap>({
      name: 'finalized',
      store,
      async reconcile(object) {
        log.push(`reconcile ${object.metadata.name} ${object.metadata.finalizers?.join()}`);
        return undefined;
      },
      finalizer: {
        client,
        kind: configMaps,
        name: 'example.dev/cleanup',
        async cleanup() {
          log.push('cleanup');
          if (blocked) throw new TemporaryError('not yet', 50);
        },
      },
    }),
  );
  await client.create(configMaps, configMap(namespace, 'a', 1));
  await until('a reconcile', () => log.length > 0);
  expect(log[0]).toBe('reconcile a example.dev/cleanup');
  await client.delete(configMaps, { namespace, name: 'a' });
  await until('two tries', () => log.filter((line) => line === 'cleanup').length >= 2);
  expect((await client.get(configMaps, { namespace, name: 'a' })).metadata.deletionTimestamp).toBeDefined();
  blocked = false;
  await until('the end', async () => (await client.list(configMaps, { namespace })).length === 0);
  expect(failures).toEqual([]);
});

test('finalizers are never written over those of others, nor on a namesake that was made since', async () => {
  const namespace = await newNamespace('stale');
  const stale = await client.create(configMaps, configMap(namespace, 'a', 1));
  await client.patch(configMaps, stale.metadata, { metadata: { finalizers: ['example.dev/theirs'] } });
  await expect(addFinalizer(client, configMaps, stale, 'example.dev/mine')).rejects.toThrow(TemporaryError);
  const seen = await client.get(configMaps, stale.metadata);
  const both = await addFinalizer(client, configMaps, seen, 'example.dev/mine');
  expect(both.metadata.finalizers).toEqual(['example.dev/theirs', 'example.dev/mine']);
  await removeFinalizer(client, configMaps, both, 'example.dev/mine');
  await removeFinalizer(client, configMaps, await client.get(configMaps, stale.metadata), 'example.dev/theirs');
  await client.delete(configMaps, stale.metadata);
  // Gone already is as good as removed.
  await removeFinalizer(client, configMaps, both, 'example.dev/mine');
  await client.create(configMaps, configMap(namespace, 'a', 2));
  await expect(addFinalizer(client, configMaps, both, 'example.dev/mine')).rejects.toThrow(TemporaryError);
  expect((await client.get(configMaps, stale.metadata)).metadata.finalizers).toBeUndefined();
});

test('a handler that fails is called again, and sees the newest object', async () => {
  const namespace = await newNamespace('retries');
  const seen: (string | undefined)[] = [];
  operate(namespace, (store) =>
    objectController<ConfigMap>({
      name: 'failing',
      store,
      async reconcile(object) {
        seen.push(object.data?.n);
        if (object.data?.n !== 'good') throw new Error('bad value');
        return undefined;
      },
    }),
  );
  await client.create(configMaps, configMap(namespace, 'a', 'bad'));
  await until('three tries', () => seen.length >= 3);
  await client.patch(configMaps, { namespace, name: 'a' }, { data: { n: 'good' } });
  await until('the good one', () => seen.at(-1) === 'good');
  expect(failures[0]).toMatchObject({ step: 'reconcile', subject: 'failing retries/a' });
});

test('a status is written when it says something new, and only then', async () => {
  const namespace = await newNamespace('statuses');
  const spec = { clusterIP: 'None', selector: { app: 'a' } };
  const service = await client.create(services, { metadata: { namespace, name: 'a' }, spec });
  const writer = new StatusWriter({ client, fieldManager: 'kopf-test' });
  const ready = { type: 'Ready', status: 'True', reason: 'Fine', message: 'all is well' } as const;
  expect(await writer.write(services, service, { conditions: [ready] })).toBe(true);
  // The caller's store may not have seen the write yet; that is no reason to write again.
  expect(await writer.write(services, service, { conditions: [ready] })).toBe(false);
  const first = await client.get(services, service.metadata);
  expect(await writer.write(services, first, { conditions: [ready] })).toBe(false);
  // Another process that has never written knows it from the object alone.
  expect(
    await new StatusWriter({ client, fieldManager: 'kopf-test' }).write(services, first, { conditions: [ready] }),
  ).toBe(false);
  expect(conditionsOf(first)).toMatchObject([ready]);
  expect(await writer.write(services, first, { conditions: [{ ...ready, message: 'better' }] })).toBe(true);
  const second = await client.get(services, service.metadata);
  expect(conditionsOf(second)[0]?.lastTransitionTime).toBe(conditionsOf(first)[0]?.lastTransitionTime);
  expect(second.metadata.resourceVersion).not.toBe(first.metadata.resourceVersion);
  // Someone else spoils it: what we wrote last is not what is there, so it is written again.
  await client.patchStatus(services, service.metadata, { conditions: [] });
  const spoiled = await client.get(services, service.metadata);
  expect(await writer.write(services, spoiled, { conditions: [{ ...ready, message: 'better' }] })).toBe(true);
  // A condition that is no longer said is gone.
  expect(await writer.write(services, await client.get(services, service.metadata), { conditions: [] })).toBe(true);
  expect(conditionsOf(await client.get(services, service.metadata))).toEqual([]);
});

test('repeated events become one with a series, and one about a cluster-scoped object lives in default', async () => {
  const namespace = await newNamespace('events');
  const object = await client.create(configMaps, configMap(namespace, 'a', 1));
  const recorder = new EventRecorder({
    client,
    controller: 'example.dev/test',
    instance: 'test-1',
    onError: (failure) => failures.push(failure),
  });
  const about = { kind: configMaps, object, type: 'Warning', reason: 'Unsupported', action: 'Compile' } as const;
  for (let i = 0; i < 5; i++) recorder.emit({ ...about, note: 'field x is not supported' });
  recorder.emit({ ...about, note: 'field y is not supported'.repeat(100) });
  const [about1] = await client.list(namespaces, { fieldSelector: 'metadata.name=events' });
  if (about1 !== undefined)
    recorder.emit({ kind: namespaces, object: about1, type: 'Normal', reason: 'Seen', action: 'Look', note: 'here' });
  await recorder.flush();
  expect(failures).toEqual([]);
  const written = await client.list(events, { namespace });
  expect(written.map(({ note, series }) => [note.slice(0, 7), series?.count]).sort()).toEqual([
    ['field x', 5],
    ['field y', undefined],
  ]);
  expect((await client.list(events, { namespace: 'default' })).map(({ reason }) => reason)).toContain('Seen');
});

test('a stop lets handlers finish, and those that do not are told to after the grace time', async () => {
  const namespace = await newNamespace('graceful');
  await client.create(configMaps, configMap(namespace, 'polite', 1));
  await client.create(configMaps, configMap(namespace, 'stubborn', 1));
  const operator = new Operator({ client, graceMs: 300, onError: (failure) => failures.push(failure) });
  const ended: string[] = [];
  let begun = 0;
  const store = operator.watch(configMaps, { namespace });
  operator.add(
    objectController<ConfigMap>({
      name: 'slow',
      store,
      concurrency: 2,
      async reconcile(object, { signal }) {
        begun++;
        const { name } = object.metadata;
        if (name === 'polite') await new Promise((resolve) => setTimeout(resolve, 100));
        else await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        ended.push(`${name} ${signal.aborted ? 'told' : 'by itself'}`);
        return undefined;
      },
    }),
  );
  running = operator.run(stop.signal);
  await until('both', () => begun === 2);
  stop.abort();
  await running;
  expect(ended).toEqual(['polite by itself', 'stubborn told']);
  expect(failures).toEqual([]);
});

import { expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { VirtualClock } from '../../test/virtual-clock.ts';
import { KubeClient, type Page } from '../client/client.ts';
import type { WatchEvent } from '../client/watch-stream.ts';
import { KubeError } from '../errors.ts';
import { defineKind, type KubeObject } from '../kind.ts';
import { Watcher } from './watcher.ts';

const things = defineKind({ group: '', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true });
const page: Page = {
  items: [{ metadata: { name: 'a', namespace: 'n', resourceVersion: '1' } }],
  resourceVersion: '1',
  continue: undefined,
};
const expired = new KubeError({ status: 410, reason: 'Expired', message: 'too old resource version' });
const cut = new KubeError({ status: 0, reason: 'ConnectionLost', message: 'cut' });

/** The answers of a server whose time the test moves. */
class Answering extends KubeClient {
  readonly lists: number[] = [];
  readonly watches: number[] = [];
  readonly #clock: VirtualClock;
  pageOf = async (): Promise<Page> => page;
  watchOf: () => AsyncGenerator<readonly WatchEvent[]> = async function* () {};

  constructor(clock: VirtualClock) {
    super(new KubeConfig(), { clock });
    this.#clock = clock;
  }

  override page(): Promise<Page> {
    this.lists.push(this.#clock.monotonic());
    return this.pageOf();
  }

  override watch(): AsyncGenerator<readonly WatchEvent[]> {
    this.watches.push(this.#clock.monotonic());
    return this.watchOf();
  }
}

function watcherOf(client: Answering, clock: VirtualClock, random = 0): Watcher<KubeObject, KubeObject> {
  return new Watcher({
    client,
    kind: things,
    transform: (object) => object,
    clock,
    random: () => random,
    onError: () => {},
  });
}

async function* refusing(error: KubeError): AsyncGenerator<readonly WatchEvent[]> {
  yield* [];
  throw error;
}

test('where each watch from a new list is refused as too old, whole lists become rare', async () => {
  const clock = new VirtualClock();
  const client = new Answering(clock);
  client.watchOf = () => refusing(expired);
  const stop = new AbortController();
  const running = watcherOf(client, clock).run(stop.signal);
  await clock.advance(1000);
  expect(client.lists).toEqual([0, 200, 600]);
  client.lists.length = 0;
  await clock.advance(600_000);
  expect(client.lists.length).toBeLessThan(30);
  expect(client.lists.length).toBeGreaterThan(15);
  stop.abort();
  await running;
});

test('pauses grow with each failure and are drawn by chance; an event, or a watch that lived long, starts anew', async () => {
  const clock = new VirtualClock();
  const client = new Answering(clock);
  client.watchOf = () => refusing(cut);
  const stop = new AbortController();
  const running = watcherOf(client, clock, 0.5).run(stop.signal);
  await clock.advance(2000);
  expect(client.watches).toEqual([0, 150, 450, 1050]);
  client.watchOf = async function* () {
    yield [{ type: 'BOOKMARK', resourceVersion: '2' }];
    client.watchOf = () => refusing(cut);
    throw cut;
  };
  await clock.advance(2000);
  expect(client.watches.slice(4)).toEqual([2250, 2400, 2700, 3300]);
  client.watchOf = async function* () {
    yield* [];
    client.watchOf = () => refusing(cut);
    await new Promise<void>((resolve) => clock.after(60_000, resolve));
    throw cut;
  };
  await clock.advance(61_000);
  expect(client.watches.slice(8)).toEqual([4500, 64_650, 64_950]);
  stop.abort();
  await running;
});

test('a page that arrives after the stop reaches nobody', async () => {
  const clock = new VirtualClock();
  const client = new Answering(clock);
  const arrival = Promise.withResolvers<Page>();
  client.pageOf = () => arrival.promise;
  const watcher = watcherOf(client, clock);
  let told = 0;
  watcher.store.subscribe(() => told++);
  const stop = new AbortController();
  const running = watcher.run(stop.signal);
  await clock.advance(10);
  stop.abort();
  arrival.resolve(page);
  await running;
  expect([told, watcher.store.isReady, watcher.store.size]).toEqual([0, false, 0]);
});

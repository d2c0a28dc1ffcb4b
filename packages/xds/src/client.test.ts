import { describe, expect, test } from '@jest/globals';
import { ResourceCache } from './cache.ts';
import { follow, namesOf, OTHER, RawClient, serve, TYPE, thing, until } from './testing/loopback.ts';

const cacheOf = (count: number): ResourceCache => {
  const cache = new ResourceCache();
  const upserts = Array.from({ length: count }, (_, index) => thing(`r${index}`));
  cache.commit({ views: new Map([['a', { upserts }]]) });
  return cache;
};
const upsert = (cache: ResourceCache, ...resources: ReturnType<typeof thing>[]): void =>
  cache.commit({ views: new Map([['a', { upserts: resources }]]) });

describe('AdsClient', () => {
  test('the first batch is everything, later ones are differences', async () => {
    const cache = cacheOf(3);
    await using server = await serve(cache);
    await using follower = follow([server.target]);
    await until(() => follower.batches.length === 1);
    cache.commit({
      views: new Map([['a', { upserts: [thing('r1', 'new')], deletes: [{ typeUrl: TYPE, name: 'r2' }] }]]),
    });
    await until(() => follower.batches.length === 2);
    expect(follower.batches.map(({ complete, upserts, deletes }) => [complete, upserts.length, deletes])).toEqual([
      [true, 3, []],
      [false, 1, ['r2']],
    ]);
    await until(() => server.ads.streams()[0]?.types[0]?.unanswered === 0);
    expect([...(follower.client.held().get(TYPE)?.keys() ?? [])]).toEqual(['r0', 'r1']);
    expect(follower.state).toEqual(
      new Map([
        ['r0', 'r0'],
        ['r1', 'new'],
      ]),
    );
  });

  test('an update in many parts is one batch', async () => {
    await using server = await serve(cacheOf(500), { limits: { maxPartBytes: 1_000 } });
    await using follower = follow([server.target]);
    await until(() => follower.state.size === 500);
    expect(follower.batches).toHaveLength(1);
    await until(() => server.ads.streams()[0]?.types[0]?.unanswered === 0);
  });

  test('at another replica it resumes: only differences are sent, deletions for what is gone', async () => {
    const first = await serve(cacheOf(3));
    await using follower = follow([first.target]);
    await until(() => follower.state.size === 3);
    const cache = cacheOf(2);
    upsert(cache, thing('more'));
    await using second = await serve(cache);
    follower.client.setTargets([second.target]);
    await until(() => follower.batches.length === 2);
    await first[Symbol.asyncDispose]();
    const [, batch] = follower.batches;
    expect(batch).toMatchObject({ complete: true, upserts: [{ name: 'more' }], deletes: ['r2'] });
  });

  test('it resumes from what an earlier process held', async () => {
    await using server = await serve(cacheOf(2));
    const versions = new Map([
      ['r0', thing('r0').version],
      ['gone', 'v'],
    ]);
    await using follower = follow([server.target], { held: new Map([[TYPE, versions]]) });
    await until(() => follower.batches.length === 1);
    expect(follower.batches[0]).toMatchObject({ complete: true, upserts: [{ name: 'r1' }], deletes: ['gone'] });
  });

  test('a batch that the handler rejects is reported, not held, and sent again on the next stream', async () => {
    const cache = cacheOf(1);
    let broken = true;
    await using server = await serve(cache);
    await using follower = follow([server.target], {
      onBatch: () => {
        if (broken) throw new Error('the map is full');
      },
    });
    await until(() => server.ads.streams()[0]?.types[0]?.rejected.get('r0') === 'the map is full');
    expect(follower.client.held().get(TYPE)?.size).toBe(0);
    broken = false;
    follower.client.reconnect();
    await until(() => follower.client.held().get(TYPE)?.size === 1);
  });

  test('a slow handler gets the latest state, not each one', async () => {
    const cache = cacheOf(1);
    await using server = await serve(cache);
    const seen: number[] = [];
    const gate = Promise.withResolvers<void>();
    await using _follower = follow([server.target], {
      onBatch: async ({ upserts }) => {
        seen.push(upserts.length);
        await gate.promise;
      },
    });
    await until(() => seen.length === 1);
    for (let index = 0; index < 50; index += 1) upsert(cache, thing('r0', `${index}`));
    gate.resolve();
    await until(() => seen.length === 2);
    await until(() => server.ads.streams()[0]?.types[0]?.unanswered === 0);
    expect(seen).toEqual([1, 1]);
  });

  test('it finds the one server that answers, and says why the others did not', async () => {
    await using server = await serve(cacheOf(1));
    await using follower = follow(['unix:/nonexistent/a.sock', 'unix:/nonexistent/b.sock', server.target], {
      connectTimeoutMs: 100,
    });
    await until(() => follower.state.size === 1);
    for (const failure of follower.failures) expect(failure).toMatch(/nonexistent.*no connection within 100 ms/);
  });

  test('without servers it waits for some', async () => {
    await using server = await serve(cacheOf(1));
    await using follower = follow([]);
    await until(() => follower.failures.length > 0);
    expect(follower.failures[0]).toBe('there is no server to connect to');
    follower.client.setTargets([server.target]);
    await until(() => follower.state.size === 1);
  });

  test('it follows several types and names at once', async () => {
    const cache = cacheOf(2);
    upsert(cache, thing('o1', 'o1', OTHER), thing('o2', 'o2', OTHER));
    await using server = await serve(cache);
    await using follower = follow([server.target], {
      subscriptions: [{ typeUrl: TYPE }, { typeUrl: OTHER, names: ['o2'] }],
    });
    await until(() => follower.batches.length === 2);
    expect([...follower.state.keys()].sort()).toEqual(['o2', 'r0', 'r1']);
  });

  test('10,000 resources arrive whole, and one change is one resource', async () => {
    const cache = cacheOf(10_000);
    await using server = await serve(cache);
    await using follower = follow([server.target]);
    await until(() => follower.state.size === 10_000);
    upsert(cache, thing('r77', 'changed'));
    await until(() => follower.batches.length === 2);
    expect(follower.batches[1]?.upserts.map(({ name }) => name)).toEqual(['r77']);
    follower.client.reconnect();
    await until(() => follower.batches.length === 3);
    expect(follower.batches[2]).toEqual({ typeUrl: TYPE, upserts: [], deletes: [], complete: true });
  });

  test('a reader that does not read costs the server one update, however much changes', async () => {
    const cache = new ResourceCache();
    const large = (version: number) =>
      Array.from({ length: 20 }, (_, index) => thing(`r${index}`, `${version}`.padEnd(1 << 20)));
    upsert(cache, ...large(0));
    await using server = await serve(cache);
    using client = new RawClient(server.target);
    client.call.pause();
    client.send({});
    await until(() => server.ads.streams()[0]?.types[0]?.unanswered === 20);
    for (let version = 1; version < 10; version += 1) upsert(cache, ...large(version));
    client.send({ responseNonce: '20' });
    client.send({ typeUrl: OTHER });
    await until(() => server.ads.streams()[0]?.types.length === 2);
    expect(server.ads.streams()[0]?.types[0]?.unanswered).toBe(20);
    client.call.resume();
    expect(namesOf(await client.response(1))).toHaveLength(1);
  });
});

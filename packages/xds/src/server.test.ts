import { status } from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import { ResourceCache } from './cache.ts';
import { refusal } from './errors.ts';
import type { Answer } from './stream.ts';
import { namesOf, OTHER, RawClient, serve, TYPE, thing, until } from './testing/loopback.ts';

const cacheOf = (...names: string[]): ResourceCache => {
  const cache = new ResourceCache();
  cache.commit({ views: new Map([['a', { upserts: names.map((name) => thing(name)) }]]) });
  return cache;
};
const viewA = (changes: { upserts?: ReturnType<typeof thing>[]; deletes?: { typeUrl: string; name: string }[] }) => ({
  views: new Map([['a', changes]]),
});

describe('AdsServer', () => {
  test('nothing is said of a view before it exists', async () => {
    const cache = new ResourceCache();
    cache.commit({ shared: { upserts: [thing('x')] } });
    await using server = await serve(cache);
    using client = new RawClient(server.target);
    client.send({});
    await until(() => server.ads.streams().length === 1);
    cache.commit({ shared: { upserts: [thing('y')] } });
    expect(server.ads.streams()[0]?.types[0]).toMatchObject({ wildcard: true, unanswered: 0, sent: 0 });
    cache.commit(viewA({}));
    expect(namesOf(await client.response(1))).toEqual(['x', 'y']);
  });

  test('while an update is unanswered newer ones coalesce into the next', async () => {
    const cache = cacheOf('x');
    await using server = await serve(cache);
    using client = new RawClient(server.target);
    client.send({});
    const first = await client.response(1);
    for (let version = 0; version < 100; version += 1) cache.commit(viewA({ upserts: [thing('y', `${version}`)] }));
    expect(server.ads.streams()[0]?.types[0]?.unanswered).toBe(1);
    client.answer(first);
    const second = await client.response(2);
    expect(second.resources.map(({ resource }) => resource?.value.toString())).toEqual(['99']);
    client.answer(second);
    await until(() => server.ads.streams()[0]?.types[0]?.unanswered === 0);
    expect(client.received).toHaveLength(2);
  });

  test('says where each client stands with a resource, also with what it brought along', async () => {
    const cache = cacheOf('x', 'y');
    const progress: string[] = [];
    await using server = await serve(cache, { onProgress: ({ nodeId }) => progress.push(nodeId) });
    using client = new RawClient(server.target);
    client.send({ initialResourceVersions: { x: thing('x').version } });
    const first = await client.response(1);
    const standing = (name: string) => server.ads.clients()[0]?.standing(TYPE, name);
    expect(namesOf(first)).toEqual(['y']);
    expect(standing('x')).toEqual({ kind: 'accepted', version: thing('x').version });
    expect(standing('y')).toEqual({ kind: 'pending' });
    expect(standing('z')).toBeUndefined();
    client.answer(first, 'no');
    await until(() => progress.length === 2);
    expect(standing('y')).toEqual({ kind: 'rejected', version: thing('y').version, reason: 'no' });
    cache.commit(viewA({ upserts: [thing('y', 'better')], deletes: [{ typeUrl: TYPE, name: 'x' }] }));
    const second = await client.response(2);
    expect([standing('x'), standing('y')]).toEqual([undefined, { kind: 'pending' }]);
    client.answer(second);
    await until(() => progress.length === 3);
    expect(standing('y')).toEqual({ kind: 'accepted', version: thing('y', 'better').version });
    expect(progress).toEqual(['a', 'a', 'a']);
  });

  test('an answer to a response that does not exist is ignored', async () => {
    const cache = cacheOf('x');
    await using server = await serve(cache);
    using client = new RawClient(server.target);
    client.send({});
    await client.response(1);
    for (const responseNonce of ['2', '99', 'nonsense', '-1']) client.send({ responseNonce });
    client.send({ typeUrl: OTHER });
    await client.response(2);
    expect(server.ads.streams()[0]?.types[0]?.unanswered).toBe(1);
  });

  test('a rejected response is reported with its reason and holds back neither other types nor later versions', async () => {
    const answers: Answer[] = [];
    const cache = cacheOf('x');
    await using server = await serve(cache, { onAnswer: (answer) => answers.push(answer) });
    using client = new RawClient(server.target);
    client.send({});
    client.answer(await client.response(1), 'x is odd');
    await until(() => answers.length === 1);
    expect(answers[0]).toMatchObject({ view: 'a', typeUrl: TYPE, upserts: [{ name: 'x' }], rejected: 'x is odd' });
    expect(server.ads.streams()[0]?.types[0]?.rejected).toEqual(new Map([['x', 'x is odd']]));

    cache.commit(viewA({ upserts: [thing('y'), thing('z', 'z', OTHER)] }));
    expect(namesOf(await client.response(2))).toEqual(['y']);
    client.answer(await client.response(2));
    cache.commit(viewA({ upserts: [thing('x', 'better')] }));
    client.answer(await client.response(3));
    await until(() => answers.length === 3);
    expect(server.ads.streams()[0]?.types[0]?.rejected).toEqual(new Map());
  });

  test('a commit reaches only the views that it concerns', async () => {
    const cache = cacheOf('x');
    cache.commit({ views: new Map([['b', {}]]) });
    await using server = await serve(cache);
    using a = new RawClient(server.target, 'a');
    using b = new RawClient(server.target, 'b');
    a.send({});
    b.send({});
    a.answer(await a.response(1));
    b.answer(await b.response(1));
    const unanswered = () => server.ads.streams().map(({ view, types }) => [view, types[0]?.unanswered]);
    const settled = () => unanswered().every(([, count]) => count === 0);
    await until(settled);
    cache.commit({ views: new Map([['b', { upserts: [thing('only-b')] }]]) });
    expect(unanswered()).toEqual([
      ['a', 0],
      ['b', 1],
    ]);
    b.answer(await b.response(2));
    await until(settled);
    cache.commit({ shared: { upserts: [thing('both')] } });
    expect(namesOf(await a.response(2))).toEqual(['both']);
    expect(namesOf(await b.response(3))).toEqual(['both']);
  });

  test('types of one commit are sent in the configured order', async () => {
    const cache = cacheOf();
    await using server = await serve(cache, { typeOrder: [OTHER, TYPE] });
    using client = new RawClient(server.target);
    client.send({});
    client.answer(await client.response(1));
    client.send({ typeUrl: OTHER });
    client.answer(await client.response(2));
    await until(() => server.ads.streams()[0]?.types.every(({ unanswered }) => unanswered === 0) === true);
    cache.commit(viewA({ upserts: [thing('x'), thing('o', 'o', OTHER)] }));
    await client.response(4);
    expect(client.received.slice(2).map(({ typeUrl }) => typeUrl)).toEqual([OTHER, TYPE]);
  });

  test('what depends on a resource is sent again with it, if the client has it', async () => {
    const cache = cacheOf();
    const dependant = (name: string) => thing(name, name, OTHER);
    cache.commit(viewA({ upserts: [dependant('x'), dependant('y')] }));
    await using server = await serve(cache, {
      typeOrder: [TYPE, OTHER],
      resendWith: ({ typeUrl, name }) => (typeUrl === TYPE ? [{ typeUrl: OTHER, name }] : []),
    });
    using client = new RawClient(server.target);
    client.send({});
    client.answer(await client.response(1));
    client.send({ typeUrl: OTHER, resourceNamesSubscribe: ['x'] });
    client.answer(await client.response(2));
    await until(() => server.ads.streams()[0]?.types.every(({ unanswered }) => unanswered === 0) === true);
    cache.commit(viewA({ upserts: [thing('x'), thing('y')] }));
    expect(namesOf(await client.response(3))).toEqual(['x', 'y']);
    expect(namesOf(await client.response(4))).toEqual(['x']);
  });

  test('a large update comes in parts that say where they stand', async () => {
    const cache = cacheOf(...Array.from({ length: 100 }, (_, index) => `r${index}`));
    await using server = await serve(cache, { limits: { maxPartBytes: 2_000 } });
    using client = new RawClient(server.target);
    client.send({});
    const first = await client.response(1);
    const parts = Number(first.systemVersionInfo.split('/')[2]);
    expect(parts).toBeGreaterThan(3);
    await client.response(parts);
    expect(client.received.map(({ systemVersionInfo }) => systemVersionInfo)).toEqual(
      Array.from({ length: parts }, (_, index) => `1/${index + 1}/${parts}`),
    );
    expect(client.received.flatMap(({ resources }) => resources)).toHaveLength(100);
  });

  test('who is refused gets the status and its reason, and sees nothing', async () => {
    await using server = await serve(cacheOf('x'), {
      authorize: () => ({ refused: refusal('UNAUTHENTICATED', 'the token is for another audience') }),
    });
    using client = new RawClient(server.target);
    client.send({});
    await until(() => client.error !== undefined);
    expect(client.error).toMatchObject({ code: status.UNAUTHENTICATED, details: 'the token is for another audience' });
    expect(client.received).toEqual([]);
  });

  test('an authorization that throws refuses', async () => {
    await using server = await serve(cacheOf('x'), { authorize: () => Promise.reject(new Error('no API server')) });
    using client = new RawClient(server.target);
    client.send({});
    await until(() => client.error !== undefined);
    expect(client.error).toMatchObject({ code: status.INTERNAL, details: 'authorization failed: no API server' });
  });

  test('a client may not subscribe without bounds', async () => {
    await using server = await serve(cacheOf('x'), { limits: { maxTypes: 2, maxNames: 3 } });
    using types = new RawClient(server.target);
    for (const typeUrl of ['t1', 't2', 't3']) types.send({ typeUrl });
    using names = new RawClient(server.target);
    names.send({ resourceNamesSubscribe: ['1', '2'] });
    names.send({ resourceNamesSubscribe: ['3', '4'] });
    using untyped = new RawClient(server.target);
    untyped.send({ typeUrl: '' });
    await until(() => [types, names, untyped].every(({ error }) => error !== undefined));
    expect(types.error?.details).toBe('a stream may subscribe to 2 types');
    expect(names.error?.details).toBe('a stream may name 3 resources');
    expect(untyped.error?.code).toBe(status.INVALID_ARGUMENT);
    await until(() => server.ads.streams().length === 0);
  });

  test('a view whose rights are revoked is cut off', async () => {
    const cache = cacheOf('x');
    await using server = await serve(cache);
    using client = new RawClient(server.target);
    client.send({});
    await client.response(1);
    server.ads.disconnect('a', 'the pod is gone');
    cache.commit(viewA({ upserts: [thing('secret')] }));
    await until(() => client.error !== undefined);
    expect(client.error).toMatchObject({ code: status.PERMISSION_DENIED, details: 'the pod is gone' });
    expect(client.received).toHaveLength(1);
  });

  test('draining waits for the answer that is due, takes nobody new, then ends the streams', async () => {
    const answers: Answer[] = [];
    const cache = cacheOf('x');
    await using server = await serve(cache, { onAnswer: (answer) => answers.push(answer) });
    using client = new RawClient(server.target);
    client.send({});
    const first = await client.response(1);
    const drained = server.ads.drain(10_000);
    using late = new RawClient(server.target);
    late.send({});
    await until(() => late.error !== undefined);
    expect(late.error?.code).toBe(status.UNAVAILABLE);
    expect(client.error).toBeUndefined();
    client.answer(first);
    await drained;
    await until(() => client.error !== undefined);
    expect(answers).toHaveLength(1);
    expect(client.error?.code).toBe(status.UNAVAILABLE);
    expect(server.ads.streams()).toEqual([]);
  });
});

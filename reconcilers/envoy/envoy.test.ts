/** What is built here, given to a real Envoy: it takes all of it, and decides requests as the rules say. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NodeResource } from '@weft/node-api';
import fc from 'fast-check';
import { translate } from '../../sources/index.ts';
import type { HttpMatch } from '../facts.ts';
import { hash64 } from '../hash.ts';
import { matchesHttp } from '../http/match.ts';
import { dial, dial2, type RunningEnvoy, send, startEnvoy, startOrigin, startOrigin2 } from '../testing/envoy.ts';
import { listenerResource, originResource, routeResource } from './resources.ts';

const ID = hash64('a test');
const rule = (match: Partial<HttpMatch>): HttpMatch => ({ method: '', path: '', host: '', headers: [], ...match });

const HTTP: readonly HttpMatch[] = [
  rule({ method: 'GET', path: '/api/v1/users' }),
  rule({ method: 'POST|PUT', path: '/items/[0-9]+', host: '(?i)shop\\.example' }),
  rule({ path: '/search\\?q=.*' }),
  rule({ path: '/host', headers: [{ name: 'host', value: 'h', mismatch: '' }] }),
  rule({
    path: '/token',
    headers: [
      { name: 'x-token', value: 'a b', mismatch: '' },
      { name: 'x-trace', mismatch: '' },
    ],
  }),
  rule({
    path: '/change',
    headers: [
      { name: 'x-log', value: 'l', mismatch: 'LOG' },
      { name: 'x-add', value: '100%', mismatch: 'ADD' },
      { name: 'x-delete', value: 'd', mismatch: 'DELETE' },
      { name: 'x-replace', value: 'r', mismatch: 'REPLACE' },
    ],
  }),
  rule({ path: '/ws', method: 'GET' }),
  rule({ path: '/public/.*' }),
  // As large as translators let through.
  rule({ path: '/(a{1000}|b{1000}|c{1000}|d{1000})' }),
  rule({ path: '.{1000}[^/]{1000}(?i)k{1000}\\W{1000}' }),
  rule({ path: '\\P{L}{1000}', host: '(?i)[\\x{80}-\\x{ff}]{1000}', method: '\\p{L}{1000}' }),
];

// Envoy needs CAP_NET_ADMIN for transparent sockets.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot('a real Envoy', () => {
  let envoy: RunningEnvoy;
  let origin: Awaited<ReturnType<typeof startOrigin>>;
  let port = 0;
  const open: AsyncDisposable[] = [];

  beforeAll(async () => {
    origin = await startOrigin();
    envoy = await startEnvoy();
    const ports = await envoy.hold(resourcesFor(HTTP), origin.port);
    port = ports.get(ID) ?? 0;
  }, 120_000);

  afterAll(async () => {
    for (const one of open) await one[Symbol.asyncDispose]();
    await envoy?.[Symbol.asyncDispose]();
    await origin?.[Symbol.asyncDispose]();
  });

  async function ask(head: string): Promise<string> {
    const answer = await send(port, `${head.replaceAll('\n', '\r\n')}\r\n\r\n`, 30);
    return answer.split(' ')[1] ?? answer;
  }

  test('takes all of it', () => {
    expect(envoy.rejected()).toEqual([]);
  });

  test.each([
    ['GET', '/api/v1/users', 'x', '200'],
    ['GET', '/api/v1/users?x=1', 'x', '403'],
    ['GET', '/api/v1/usersx', 'x', '403'],
    ['GET', '/x/api/v1/users', 'x', '403'],
    ['HEAD', '/api/v1/users', 'x', '403'],
    ['GETS', '/api/v1/users', 'x', '403'],
    ['PUT', '/items/7', 'Shop.Example', '200'],
    ['PUT', '/items/7', 'shop.example.org', '403'],
    ['DELETE', '/items/7', 'shop.example', '403'],
    ['GET', '/search?q=1', 'x', '200'],
    ['GET', '/host', 'h', '200'],
    ['GET', '/host', 'g', '403'],
    ['GET', '/', 'x', '403'],
  ])('%s %s of %s: %s, as the matcher says', async (method, path, host, status) => {
    expect(await ask(`${method} ${path} HTTP/1.1\nHost: ${host}`)).toBe(status);
    const said = HTTP.some((match) => matchesHttp(match, { method, path, host, headers: {} }));
    expect(said ? '200' : '403').toBe(status);
  });

  test.each([
    ['dots', 'GET /public/../api/v1/users', '200'],
    ['dots that lead out', 'GET /public/../secret', '403'],
    ['encoded dots', 'GET /public/%2e%2e/secret', '403'],
    ['doubled slashes', 'GET //api//v1/users', '200'],
    ['an encoded slash', 'GET /public/..%2fsecret', '400'],
    ['an encoded backslash', 'GET /public/..%5csecret', '400'],
    ['a backslash', 'GET /public/..\\secret', '403'],
    ['a fragment', 'GET /secret#/public/x', '400'],
    ['an absolute URL', 'GET http://x/api/v1/users', '200'],
    ['an absolute URL elsewhere', 'GET http://x/secret', '403'],
  ])('one form of a path decides: %s', async (_, request, status) => {
    expect(await ask(`${request} HTTP/1.1\nHost: x`)).toBe(status);
  });

  test('the server gets the path that was judged', async () => {
    await ask('GET /public/a/./b/../c?d=/../e HTTP/1.1\nHost: x');
    expect(origin.seen.at(-1)?.url).toBe('/public/a/c?d=/../e');
  });

  test.each([
    ['HTTP/1.0', 'GET /api/v1/users HTTP/1.0\nHost: x', '426'],
    ['CONNECT', 'CONNECT x:80 HTTP/1.1\nHost: x:80', '403'],
    ['no HTTP at all', 'hello', '400'],
    ['two lengths', 'POST /public/x HTTP/1.1\nHost: x\nContent-Length: 1\nContent-Length: 2', '400'],
    ['a length and chunks', 'POST /public/x HTTP/1.1\nHost: x\nContent-Length: 1\nTransfer-Encoding: chunked', '400'],
    ['a path without a slash', 'OPTIONS * HTTP/1.1\nHost: x', '404'],
    ['two Hosts', 'GET /public/x HTTP/1.1\nHost: x\nHost: y', '403'],
    ['a list of hosts', 'GET /public/x HTTP/1.1\nHost: x,y', '403'],
    ['no host', 'GET /api/v1/users HTTP/1.1', '400'],
    ['a parameter of dots', 'GET /public/%2e%2e;/x HTTP/1.1\nHost: x', '403'],
    ['an encoded parameter of dots', 'GET /public/..%3bx/y HTTP/1.1\nHost: x', '403'],
  ])('%s is refused', async (_, request, status) => {
    const before = origin.seen.length;
    expect(await ask(request)).toBe(status);
    expect(origin.seen.length).toBe(before);
  });

  test.each([
    ['both', 'X-Token: a b\nX-Trace: 1', '200'],
    ['another value', 'X-Token: a\nX-Trace: 1', '403'],
    ['one missing', 'X-Token: a b', '403'],
    ['the value and another', 'X-Token: a b\nX-Token: c\nX-Trace: 1', '403'],
  ])('headers: %s', async (_, headers, status) => {
    expect(await ask(`GET /token HTTP/1.1\nHost: x\n${headers}`)).toBe(status);
  });

  test.each([
    ['X-Log: x', ['X-Log: x', 'x-add: 100%', 'x-replace: r']],
    ['X-Add: 100%\nX-Delete: d\nX-Replace: r', ['X-Add: 100%', 'X-Delete: d', 'x-replace: r']],
    ['X-Add: 1\nX-Delete: e\nX-Replace: s', ['X-Add: 1', 'x-add: 100%', 'x-replace: r']],
  ])('what does not match is changed: %s', async (headers, expected) => {
    expect(await ask(`GET /change HTTP/1.1\nHost: x\n${headers}`)).toBe('200');
    const got = pairs(origin.seen.at(-1)?.headers ?? []).filter((header) =>
      /^x-(log|add|delete|replace):/i.test(header),
    );
    expect(got.map((header) => header.toLowerCase()).sort()).toEqual(expected.map((h) => h.toLowerCase()).sort());
  });

  test('the server sees the headers that the client sent', async () => {
    const sent = ['Host: x', 'X-Forwarded-For: 1.2.3.4', 'X-Request-Id: mine', 'under_score: 1', 'CamelCase: 2'];
    const more = ['X-Forwarded-Client-Cert: c', 'X-Forwarded-Proto: ftp', 'Via: me', 'User-Agent: u'];
    await ask(`GET /public/x HTTP/1.1\n${[...sent, ...more].join('\n')}`);
    expect(pairs(origin.seen.at(-1)?.headers ?? []).sort()).toEqual([...sent, ...more].sort());
  });

  test('of its own it adds one header, and a client can not make it repeat a request', async () => {
    const before = origin.seen.length;
    const retry = 'X-Envoy-Retry-On: 5xx,gateway-error,reset\nX-Envoy-Max-Retries: 5';
    expect(await ask(`GET /public/broken HTTP/1.1\nHost: x\n${retry}`)).toBe('503');
    expect(origin.seen.length).toBe(before + 1);
    expect(pairs(origin.seen.at(-1)?.headers ?? []).sort()).toEqual(['Host: x', 'x-forwarded-proto: http']);
  });

  test('a refusal says so, and a websocket passes where a rule allows it', async () => {
    const refused = await send(port, 'GET /no HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(refused).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*\r\n\r\nAccess denied\r\n$/);
    const upgrade = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    expect(await send(port, `GET /ws HTTP/1.1\r\n${upgrade}`)).toMatch(/^HTTP\/1\.1 101/);
    expect(await send(port, `GET /no HTTP/1.1\r\n${upgrade}`)).toMatch(/^HTTP\/1\.1 403/);
  });

  test('the records say what happened, and no secret', async () => {
    envoy.records.length = 0;
    const secrets = 'Cookie: s3cret\nAuthorization: Bearer s3cret';
    await ask(`GET /search?q=s3cret HTTP/1.1\nHost: x\nUser-Agent: u\nX-Forwarded-For: 6.6.6.6\n${secrets}`);
    await ask('GET /no?s3cret HTTP/1.1\nHost: x');
    await waitFor(() => envoy.records.length >= 2);
    const [allowed, denied] = envoy.records.map((line) => JSON.parse(line));
    const local = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
    expect(allowed).toEqual({
      t: expect.stringMatching(/^\d{13}$/),
      l: `l7/${ID.toString(16)}`,
      r: 'CiliumNetworkPolicy/shop/api#ingress[0]',
      m: 'GET',
      p: '/search',
      a: 'x',
      v: 'HTTP/1.1',
      s: 200,
      f: '-',
      c: 'via_upstream',
      d: expect.any(Number),
      rx: 0,
      tx: 5,
      src: local,
      dst: local,
      up: local,
      ua: 'u',
    });
    expect(denied).toMatchObject({ r: 'denied', p: '/no', s: 403, c: 'direct_response', up: null, ua: null });
    expect(envoy.records.join()).not.toMatch(/s3cret|6\.6\.6\.6/);
  });

  test('a connection that is held is judged by the new text at its next request', async () => {
    const client = await dial(port);
    open.push(client);
    expect(await client.ask('GET /api/v1/users')).toBe('200');
    await envoy.hold(resourcesFor([rule({ path: '/new' })]), origin.port);
    expect(await client.ask('GET /api/v1/users')).toBe('403');
    expect(await client.ask('GET /new')).toBe('200');
    await envoy.hold(resourcesFor(HTTP), origin.port);
    expect(await client.ask('GET /new')).toBe('403');
    expect(await client.ask('GET /api/v1/users')).toBe('200');
  });

  test('HTTP/2 without TLS is judged and passed on as such', async () => {
    const other = await startOrigin2();
    open.push(other);
    await envoy.hold(resourcesFor(HTTP), other.port);
    const client = await dial2(port);
    open.push(client);
    expect(await client.ask({ ':path': '/api/v1/users' })).toBe(200);
    expect(await client.ask({ ':path': '/api/v1/users', ':method': 'POST' })).toBe(403);
    expect(await client.ask({ ':path': '/public/../secret' })).toBe(403);
    expect(await client.ask({ ':path': '/public/%2fsecret' })).toBe(400);
    await envoy.hold(resourcesFor(HTTP), origin.port);
  });

  test('more HTTP/2 requests at a time than the server takes on one connection go on several', async () => {
    const other = await startOrigin2();
    open.push(other);
    await envoy.hold(resourcesFor(HTTP), other.port);
    const client = await dial2(port);
    open.push(client);
    const answers = await Promise.all(Array.from({ length: 300 }, () => client.ask({ ':path': '/api/v1/users' })));
    expect(new Set(answers)).toEqual(new Set([200]));
    await envoy.hold(resourcesFor(HTTP), origin.port);
  });

  test('takes every expression that translators let through', async () => {
    const tokens = [...'abkxzPQsdwWDSBCAEGLNnrtvf019/.*+?|()[]{}^$\\-:,<>=!& ~i', ...TOKENS];
    const text = fc.array(fc.constantFrom(...tokens), { maxLength: 12 }).map((parts) => parts.join(''));
    const taken = fc.sample(text, { numRuns: 6000, seed: 7 }).filter(isTaken);
    expect(taken.length).toBeGreaterThan(1500);
    await envoy.hold(resourcesFor(taken.map((path) => rule({ path }))), origin.port);
    expect(envoy.rejected()).toEqual([]);
    await envoy.hold(resourcesFor(HTTP), origin.port);
  }, 60_000);

  test('matches expressions as the matcher does', async () => {
    const parts = [
      'a',
      'b',
      'A',
      '1',
      '/',
      '|',
      '(',
      ')',
      '?',
      '*',
      '+',
      '[^a]',
      '[ab]',
      '\\d',
      '\\w',
      '\\b',
      '^',
      '$',
      '.',
      '(?i)',
      '{2}',
    ];
    const text = fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 8 }).map((some) => `/${some.join('')}`);
    const patterns = fc.sample(text, { numRuns: 3000, seed: 5 }).filter(isTaken).slice(0, 400);
    const rules = patterns.map((path, index) => ({ name: `${index}`, policy: '', http: [rule({ path })] }));
    await envoy.hold([originResource, listenerResource(ID, 'ingress'), routeResource(ID, rules)], origin.port);
    const segment = fc
      .array(fc.constantFrom('a', 'b', 'A', '1'), { minLength: 1, maxLength: 3 })
      .map((some) => some.join(''));
    const path = fc.array(segment, { minLength: 1, maxLength: 2 }).map((some) => `/${some.join('/')}`);
    const paths = fc.sample(path, { numRuns: 200, seed: 5 });
    const client = await dial(port);
    open.push(client);
    envoy.records.length = 0;
    for (const each of paths) await client.ask(`GET ${each}`);
    await waitFor(() => envoy.records.length >= paths.length);
    const expected = paths.map((each) => {
      const first = rules.find(({ http }) => http.some((match) => matchesHttp(match, { ...ASKED, path: each })));
      return `${each} ${first?.name ?? 'denied'}`;
    });
    expect(envoy.records.map((line) => JSON.parse(line)).map(({ p, r }) => `${p} ${r}`)).toEqual(expected);
    expect(new Set(expected.map((line) => line.split(' ')[1])).size).toBeGreaterThan(15);
    await envoy.hold(resourcesFor(HTTP), origin.port);
  }, 60_000);

  test('takes the cluster as nodes get it, and a listener for egress', async () => {
    const id = hash64('another');
    await envoy.hold([...resourcesFor(HTTP), listenerResource(id, 'egress'), routeResource(id, [])], 0);
    expect(envoy.rejected()).toEqual([]);
  });
});

const ASKED = { method: 'GET', host: 'x', headers: {} };

/** Of which expressions are made, beside single characters. */
const TOKENS = [
  ...[
    '(?:',
    '(?i)',
    '(?P<n>',
    '(?<n>',
    '(?s-m:',
    '(?U)',
    '[^',
    '[[:alpha:]]',
    '[[:^word:]]',
    '{2,3}',
    '{,2}',
    '{1000}',
    '*?',
  ],
  ...[
    '\\p{L}',
    '\\pN',
    '\\P{Greek}',
    '\\p{Any}',
    '\\x{41}',
    '\\xff',
    '\\x{ff}',
    '\\x{100}',
    '\\101',
    '\\777',
    '\\Q',
    '\\E',
    '\\b',
    '\\z',
  ],
];

function isTaken(path: string): boolean {
  const rules = { http: [{ path }] };
  const spec = { endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port: '80' }], rules }] }] };
  return translate('CiliumNetworkPolicy', { metadata: { namespace: 'a', name: 'b' }, spec }).problems.length === 0;
}

function resourcesFor(http: readonly HttpMatch[]): NodeResource[] {
  const routes = routeResource(ID, [{ name: 'CiliumNetworkPolicy/shop/api#ingress[0]', policy: '', http }]);
  return [originResource, listenerResource(ID, 'ingress'), routes];
}

function pairs(raw: readonly string[]): string[] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1]}`] : []));
}

async function waitFor(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 60 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Routes as facts, compiled and given to a real Envoy with servers behind it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileFromScratch } from '../compiler.ts';
import { routeListener } from '../envoy/names.ts';
import type { Fact, RouteFact, RouteFilter, RouteRule, ServiceFact } from '../facts.ts';
import { address, finalState, routingChange } from '../testing/arbitraries.ts';
import {
  dial,
  dial2,
  type RunningEnvoy,
  type Seen,
  send,
  startEnvoy,
  startOrigin,
  startOrigin2,
} from '../testing/envoy.ts';
import { backend, changesOf, endpointsFact, headers, match, routeFact, serviceFact } from '../testing/routes.ts';

// Envoy needs CAP_NET_ADMIN for transparent sockets.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;

asRoot('a real Envoy', () => {
  let envoy: RunningEnvoy;
  let one: Awaited<ReturnType<typeof startOrigin>>;
  let two: Awaited<ReturnType<typeof startOrigin>>;
  let three: Awaited<ReturnType<typeof startOrigin2>>;

  beforeAll(async () => {
    one = await startOrigin();
    two = await startOrigin();
    three = await startOrigin2();
    envoy = await startEnvoy();
  }, 120_000);

  afterAll(async () => {
    for (const each of [envoy, one, two, three]) await each?.[Symbol.asyncDispose]();
  });

  /** Services one and two have a server each, three one of HTTP/2, none has none. @returns the port of Envoy's listener of web */
  async function hold(facts: readonly Fact[], web: Partial<ServiceFact> = {}): Promise<number> {
    const http2 = {
      ports: [{ name: 'http', protocol: 'TCP' as const, port: 80, nodePort: 0, appProtocol: 'kubernetes.io/h2c' }],
    };
    const services = [...['one', 'two', 'none'].map((name) => serviceFact(name)), serviceFact('three', http2)];
    const endpoints = Object.entries({ one, two, three }).flatMap(([name, { port }]) => endpointsFact(name, [port]));
    const changes = changesOf([serviceFact('web', web), ...services, ...endpoints, ...facts]);
    const ports = await envoy.hold(compileFromScratch(changes).shared.upserts.values());
    expect(envoy.rejected()).toEqual([]);
    one.seen.length = 0;
    two.seen.length = 0;
    return ports.get(routeListener('shop/web', web.ports?.[0]?.port ?? 80)) ?? 0;
  }

  /** @returns status, and all of the answer */
  async function ask(port: number, head: string, from = '127.0.0.1'): Promise<{ status: string; answer: string }> {
    const line = head.includes('\n') ? head.replace('\n', ' HTTP/1.1\nHost: web\n') : `${head} HTTP/1.1\nHost: web`;
    const answer = await send(port, `${line.replaceAll('\n', '\r\n')}\r\n\r\n`, 30, from);
    return { status: answer.split(' ')[1] ?? '', answer };
  }

  const status = async (port: number, head: string, from?: string) => (await ask(port, head, from)).status;

  async function repeat(times: number, port: number, head: string): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
      const got = await status(port, `${head}\nConnection: close`);
      counts[got] = (counts[got] ?? 0) + 1;
    }
    return counts;
  }

  describe('the order of matches', () => {
    const to = (name: string, only: RouteRule['matches'][number]) => ({
      name,
      match: only,
      backends: [backend('one')],
    });
    const token = { name: 'x-a', type: 'Exact' as const, value: '1' };
    const table: readonly RouteFact[] = [
      routeFact('young', [to('young', match({ prefix: '/tie' }))], { created: '2026-01-02T00:00:00Z' }),
      routeFact('b', [to('b', match({ prefix: '/tie' })), to('b-host', match({ prefix: '/', host: '*.example.com' }))]),
      routeFact('a', [
        to('a', match({ prefix: '/tie' })),
        to('again', match({ prefix: '/tie' })),
        to('prefix', match({ prefix: '/a' })),
        to('longer', match({ prefix: '/a/b/' })),
        to('exact', match({ exact: '/a/b' })),
        to('regex', match({ path: { type: 'RegularExpression', value: '/a/[0-9]+' } })),
        to('method', match({ prefix: '/a', method: 'POST' })),
        to('header', match({ prefix: '/a', headers: [token] })),
        to('headers', match({ prefix: '/a', headers: [token, { name: 'x-b', type: 'Present', value: '' }] })),
        to('query', match({ prefix: '/a', query: [{ name: 'q', type: 'RegularExpression', value: '[0-9]+' }] })),
      ]),
      routeFact('g', [
        to('g-both', match({ grpc: { type: 'Exact', service: 'p.S', method: 'M' } })),
        to('g-service', match({ grpc: { type: 'Exact', service: 'p.S' } })),
        to('g-method', match({ grpc: { type: 'Exact', method: 'N' } })),
      ]),
    ];

    test.each([
      ['GET /a', 'prefix'],
      ['GET /a/x', 'prefix'],
      ['GET /ab', ''],
      ['GET /a/b', 'exact'],
      ['GET /a/b/', 'longer'],
      ['GET /a/b/c', 'longer'],
      ['GET /a/b?q=1', 'exact'],
      ['GET /a/7', 'regex'],
      ['GET /a/7/8', 'prefix'],
      ['POST /a/x', 'method'],
      ['POST /a/x\nX-A: 1', 'method'],
      ['GET /a/x\nX-A: 1', 'header'],
      ['GET /a/x\nX-A: 2', 'prefix'],
      ['GET /a/x\nX-A: 1\nX-B: y', 'headers'],
      ['GET /a/x?q=12', 'query'],
      ['GET /a/x?q=z', 'prefix'],
      ['GET /a/x?q=12\nX-A: 1', 'header'],
      ['GET /tie', 'a'],
      ['GET http://WWW.Example.com:80/a/b', 'b-host'],
      ['GET http://example.com/x', ''],
      ['POST /p.S/M', 'g-both'],
      ['POST /p.S/N', 'g-service'],
      ['POST /q.S/N', 'g-method'],
    ])('%s', async (head, expected) => {
      const port = await hold(table);
      envoy.records.length = 0;
      expect(await status(port, head)).toBe(expected === '' ? '404' : '200');
      await until(() => envoy.records.length > 0);
      const route: string | null = JSON.parse(envoy.records[0] ?? '{}').r;
      expect(route?.split('#')[1] ?? '').toBe(expected);
    });

    test('a record names the rule, by its index if it has no name', async () => {
      const port = await hold([routeFact('r', [{ backends: [backend('one')] }], { routeKind: 'L7Route' })]);
      envoy.records.length = 0;
      await ask(port, 'GET /x');
      await until(() => envoy.records.length > 0);
      expect(JSON.parse(envoy.records[0] ?? '{}')).toMatchObject({ r: 'L7Route/shop/r#0', s: 200 });
    });
  });

  test('requests are shared by weight, and those of broken references get 500', async () => {
    const backends = [backend('one', { weight: 6 }), backend('two', { weight: 2 }), backend('absent', { weight: 2 })];
    const port = await hold([routeFact('r', [{ backends: [...backends, backend('one', { weight: 0 })] }])]);
    const counts = await repeat(400, port, 'GET /');
    expect(counts['200']).toBe(one.seen.length + two.seen.length);
    expect(one.seen.length).toBeGreaterThan(190);
    expect(one.seen.length).toBeLessThan(290);
    expect(two.seen.length).toBeGreaterThan(45);
    expect(two.seen.length).toBeLessThan(125);
    expect(counts['500']).toBeGreaterThan(45);
    expect(Object.keys(counts).sort()).toEqual(['200', '500']);
  });

  test.each<[string, Partial<RouteRule>, string]>([
    ['no backends', { backends: [] }, '500'],
    ['only weights of 0', { backends: [backend('one', { weight: 0 })] }, '500'],
    ['a Service that is not there', { backends: [backend('absent')] }, '500'],
    ['a port that is not there', { backends: [backend('one', { port: 81 })] }, '500'],
    [
      'a reference that is refused',
      { backends: [backend('one', { refused: { reason: 'RefNotPermitted', message: '' } })] },
      '500',
    ],
    [
      'a change of the path for one backend',
      { backends: [backend('one', { filters: [{ kind: 'rewrite', path: { type: 'ReplaceFullPath', value: '/' } }] })] },
      '500',
    ],
    ['a Service without endpoints', { backends: [backend('none')] }, '503'],
  ])('%s', async (_, rule, expected) => {
    const port = await hold([routeFact('r', [rule])]);
    expect(await status(port, 'GET /x')).toBe(expected);
    expect(one.seen).toEqual([]);
  });

  describe('redirects', () => {
    const redirect = (change: Partial<Extract<RouteFilter, { kind: 'redirect' }>>): RouteFilter => ({
      kind: 'redirect',
      status: 302,
      ...change,
    });
    test.each<[string, RouteFilter, string, string, string]>([
      ['to another host', redirect({ hostname: 'o' }), '/a/b?c=d', '302', 'http://o/a/b?c=d'],
      ['to TLS', redirect({ scheme: 'https', status: 301 }), '/a/b', '301', 'https://web/a/b'],
      ['to another port', redirect({ port: 8443, status: 308 }), '/a/b', '308', 'http://web:8443/a/b'],
      [
        'to another path',
        redirect({ path: { type: 'ReplaceFullPath', value: '/p' }, status: 303 }),
        '/a/b?c=d',
        '303',
        'http://web/p?c=d',
      ],
      [
        'to another prefix',
        redirect({ path: { type: 'ReplacePrefixMatch', value: '/p/' }, status: 307 }),
        '/a/b',
        '307',
        'http://web/p/b',
      ],
      ['to no prefix', redirect({ path: { type: 'ReplacePrefixMatch', value: '/' } }), '/a/b', '302', 'http://web/b'],
    ])('%s', async (_, filter, path, code, location) => {
      const port = await hold([routeFact('r', [{ match: match({ prefix: '/a' }), filters: [filter] }])]);
      const { status: got, answer } = await ask(port, `GET ${path}`);
      expect([got, /^location: (.*)$/im.exec(answer)?.[1]?.trim()]).toEqual([code, location]);
    });

    test('keep the port of the Service, unless there is another scheme', async () => {
      const ports = [{ name: 'http', protocol: 'TCP' as const, port: 8080, nodePort: 0, appProtocol: '' }];
      const rules = [
        { match: match({ prefix: '/a' }), filters: [redirect({ hostname: 'o' })] },
        { match: match({ prefix: '/b' }), filters: [redirect({ hostname: 'o', scheme: 'https' })] },
      ];
      const port = await hold([routeFact('r', rules)], { ports });
      expect((await ask(port, 'GET /a')).answer).toMatch(/^location: http:\/\/o:8080\/a\r$/m);
      expect((await ask(port, 'GET /b')).answer).toMatch(/^location: https:\/\/o\/b\r$/m);
    });
  });

  // The table of the Gateway API, of ReplacePrefixMatch.
  test.each([
    ['/foo', '/xyz', '/foo/bar?q=/foo', '/xyz/bar?q=/foo'],
    ['/foo', '/xyz/', '/foo/bar', '/xyz/bar'],
    ['/foo/', '/xyz', '/foo/bar', '/xyz/bar'],
    ['/foo', '/xyz', '/foo', '/xyz'],
    ['/foo', '/xyz', '/foo/', '/xyz/'],
    ['/foo', '', '/foo/bar', '/bar'],
    ['/foo', '', '/foo/', '/'],
    ['/foo', '', '/foo', '/'],
    ['/foo', '/', '/foo/', '/'],
    ['/foo', '/', '/foo', '/'],
    ['/f.o', '/', '/f.o/x', '/x'],
    ['/', '/xyz', '/bar', '/xyz/bar'],
    ['/', '/xyz', '/', '/xyz/'],
    ['/', '/', '/bar', '/bar'],
  ])('the prefix %s becomes %s: %s is %s', async (prefix, value, path, expected) => {
    const filters: RouteFilter[] = [{ kind: 'rewrite', path: { type: 'ReplacePrefixMatch', value } }];
    const port = await hold([routeFact('r', [{ match: match({ prefix }), filters, backends: [backend('one')] }])]);
    expect(await status(port, `GET ${path}`)).toBe('200');
    expect(one.seen.map(({ url }) => url)).toEqual([expected]);
  });

  test('path and host are rewritten', async () => {
    const filters: RouteFilter[] = [
      { kind: 'rewrite', hostname: 'other.example', path: { type: 'ReplaceFullPath', value: '/a\\1b' } },
    ];
    const port = await hold([routeFact('r', [{ filters, backends: [backend('one')] }])]);
    await ask(port, 'GET /some/thing?q=1');
    expect(one.seen.map(({ url, headers: raw }) => [url, headerIn(raw, 'host')])).toEqual([
      ['/a\\1b?q=1', 'other.example'],
    ]);
  });

  test('headers change per rule and per backend', async () => {
    const filters: RouteFilter[] = [
      headers('requestHeaders', { set: { 'x-set': '100%' }, add: { 'x-add': 'b' }, remove: ['x-gone'] }),
      headers('responseHeaders', { set: { 'x-server': 's' }, add: { 'x-more': 'm' } }),
    ];
    const own = [headers('requestHeaders', { set: { 'x-own': 'o', host: 'own.example' } })];
    const rule = { filters, backends: [backend('one', { filters: own })] };
    const port = await hold([routeFact('r', [rule])]);
    const { answer } = await ask(port, 'GET /\nX-Set: 1\nX-Add: a\nX-Gone: 1');
    const raw = one.seen[0]?.headers ?? [];
    expect(['x-set', 'x-add', 'x-gone', 'x-own', 'host'].map((name) => headerIn(raw, name))).toEqual([
      '100%',
      'a,b',
      '',
      'o',
      'own.example',
    ]);
    expect(answer).toMatch(/^x-server: s\r$/m);
    expect(answer).toMatch(/^x-more: m\r$/m);
  });

  test('the server sees the address of the client, and what it sent', async () => {
    const port = await hold([routeFact('r', [{ backends: [backend('one')] }])]);
    await ask(port, 'GET /x?y\nX-Forwarded-For: 6.6.6.6', '127.0.0.7');
    expect(one.seen[0]).toMatchObject({ from: '127.0.0.7', url: '/x?y' });
    expect(headerIn(one.seen[0]?.headers ?? [], 'x-forwarded-for')).toBe('6.6.6.6');
  });

  test('a mirror sees the request too, and its answer counts for nothing', async () => {
    const mirror: RouteFilter = {
      kind: 'mirror',
      backend: { namespace: 'shop', service: 'two', port: 80 },
      perMillion: 1e6,
    };
    const gone: RouteFilter = {
      kind: 'mirror',
      backend: { namespace: 'shop', service: 'absent', port: 80 },
      perMillion: 1e6,
    };
    const port = await hold([routeFact('r', [{ filters: [mirror, gone], backends: [backend('one')] }])]);
    expect(await status(port, 'GET /m', '127.0.0.7')).toBe('200');
    await until(() => two.seen.length > 0);
    const shape = ({ url, headers: raw }: Seen) => [url, headerIn(raw, 'host')];
    expect([one.seen.map(shape), two.seen.map(shape)]).toEqual([[['/m', 'web']], [['/m', 'web']]]);
    expect([one.seen[0]?.from, two.seen[0]?.from]).toEqual(['127.0.0.7', '127.0.0.7']);
    // What Envoy leaves of it: the way to the mirror on the one, its own address on the other.
    expect(names(one.seen[0])).toEqual(['host', 'x-forwarded-proto', 'x-weft-client']);
    expect(names(two.seen[0])).toEqual(['host', 'x-forwarded-for', 'x-forwarded-proto']);
    expect(headerIn(two.seen[0]?.headers ?? [], 'x-forwarded-for')).not.toContain('127.0.0.7');
  });

  test('nobody but Envoy says from which address a mirror is asked', async () => {
    const set = headers('requestHeaders', {
      set: { 'X-Weft-Client': '127.0.0.9' },
      add: { 'x-weft-client': '1.1.1.1' },
    });
    const mirror: RouteFilter = {
      kind: 'mirror',
      backend: { namespace: 'shop', service: 'two', port: 80 },
      perMillion: 1e6,
    };
    const port = await hold([
      routeFact('r', [{ filters: [set, mirror], backends: [backend('one', { filters: [set] })] }]),
    ]);
    expect(await status(port, 'GET /m\nX-Weft-Client: 127.0.0.8', '127.0.0.7')).toBe('200');
    await until(() => two.seen.length > 0);
    expect(two.seen.map(({ from }) => from)).toEqual(['127.0.0.7']);
  });

  test('a part of the requests is mirrored', async () => {
    const mirror: RouteFilter = {
      kind: 'mirror',
      backend: { namespace: 'shop', service: 'two', port: 80 },
      perMillion: 300_000,
    };
    const port = await hold([routeFact('r', [{ filters: [mirror], backends: [backend('one')] }])]);
    await repeat(200, port, 'GET /m');
    expect(two.seen.length).toBeGreaterThan(25);
    expect(two.seen.length).toBeLessThan(95);
  });

  test.each<[string, RouteRule['timeouts'], string]>([
    ['request', { request: 200 }, '504'],
    ['perTry', { perTry: 200 }, '504'],
    ['idle', { idle: 200 }, '504'],
    ['request 0', { request: 0 }, '200'],
  ])('a timeout: %s', async (_, timeouts, expected) => {
    const port = await hold([routeFact('r', [{ timeouts, backends: [backend('one')] }])]);
    expect(await status(port, 'GET /slow')).toBe(expected);
  });

  test('requests are tried again as the rule says, and no others', async () => {
    const retry = { attempts: 2, backoffMs: 10, codes: [503] };
    const rules = [
      { match: match({ prefix: '/again' }), retry, backends: [backend('one')] },
      { match: match({ prefix: '/once' }), retry: { ...retry, codes: [502] }, backends: [backend('one')] },
      { match: match({ prefix: '/' }), backends: [backend('one')] },
      { match: match({ prefix: '/tries' }), retry, timeouts: { perTry: 100 }, backends: [backend('one')] },
    ];
    const port = await hold([routeFact('r', rules)]);
    expect(await status(port, 'POST /again/flaky')).toBe('200');
    expect(await status(port, 'GET /again/broken')).toBe('503');
    expect(await status(port, 'GET /once/flaky')).toBe('503');
    expect(await status(port, 'GET /flaky')).toBe('503');
    expect(await status(port, 'GET /tries/slow')).toBe('504');
    const tries = (url: string) => one.seen.filter((seen) => seen.url === url).length;
    expect(['/again/flaky', '/again/broken', '/once/flaky', '/flaky', '/tries/slow'].map(tries)).toEqual([
      2, 3, 1, 1, 3,
    ]);
  });

  test('a client can not make it repeat requests, or wait', async () => {
    const port = await hold([routeFact('r', [{ backends: [backend('one')] }])]);
    const wishes =
      'X-Envoy-Retry-On: 5xx\nX-Envoy-Max-Retries: 5\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\nX-Envoy-Fault-Delay-Request: 3000';
    expect(await status(port, `GET /broken\n${wishes}`)).toBe('503');
    expect(one.seen.length).toBe(1);
  });

  test('a connection that fails is tried at another endpoint', async () => {
    const rules = [{ retry: { attempts: 3, backoffMs: 1, codes: [] }, backends: [backend('half')] }];
    const half = [serviceFact('half'), ...endpointsFact('half', [one.port, 1])];
    const port = await hold([...half, routeFact('r', rules)]);
    expect(await repeat(40, port, 'POST /x')).toEqual({ 200: 40 });
    const without = await hold([...half, routeFact('r', [{ backends: [backend('half')] }])]);
    expect(Object.keys(await repeat(40, without, 'POST /x')).sort()).toEqual(['200', '503']);
  });

  test('faults: some requests fail, some are late', async () => {
    const fault = { kind: 'fault' as const, delayMs: 0, delayPerMillion: 0, abortStatus: 0, abortPerMillion: 0 };
    const rules = [
      {
        match: match({ prefix: '/abort' }),
        filters: [{ ...fault, abortStatus: 418, abortPerMillion: 500_000 }],
        backends: [backend('one')],
      },
      {
        match: match({ prefix: '/delay' }),
        filters: [{ ...fault, delayMs: 300, delayPerMillion: 1e6 }],
        backends: [backend('one')],
      },
      { backends: [backend('one')] },
    ];
    const port = await hold([routeFact('r', rules)]);
    const counts = await repeat(100, port, 'GET /abort');
    expect(counts['418']).toBeGreaterThan(25);
    expect(counts['200']).toBeGreaterThan(25);
    const start = Date.now();
    expect(await status(port, 'GET /delay')).toBe('200');
    expect(Date.now() - start).toBeGreaterThanOrEqual(290);
    expect(await repeat(20, port, 'GET /')).toEqual({ 200: 20 });
  });

  test('a limit: of all clients together, or of each', async () => {
    const limit = { kind: 'rateLimit' as const, requests: 3, perMs: 60_000, perClient: false };
    const rules = [
      { match: match({ prefix: '/all' }), filters: [limit], backends: [backend('one')] },
      { match: match({ prefix: '/each' }), filters: [{ ...limit, perClient: true }], backends: [backend('one')] },
      { backends: [backend('one')] },
    ];
    const port = await hold([routeFact('r', rules)]);
    expect(await repeat(5, port, 'GET /all')).toEqual({ 200: 3, 429: 2 });
    expect(await status(port, 'GET /all', '127.0.0.7')).toBe('429');
    expect(await repeat(5, port, 'GET /each')).toEqual({ 200: 3, 429: 2 });
    expect(await status(port, 'GET /each\nX-Forwarded-For: 9.9.9.9')).toBe('429');
    for (let i = 2; i < 60; i++) expect(await status(port, 'GET /each', `127.0.0.${i}`)).toBe('200');
    expect(await status(port, 'GET /each')).toBe('429');
    expect(await repeat(5, port, 'GET /')).toEqual({ 200: 5 });
  });

  test('a limit fills again', async () => {
    const limit = { kind: 'rateLimit' as const, requests: 1, perMs: 10, perClient: false };
    const port = await hold([routeFact('r', [{ filters: [limit], backends: [backend('one')] }])]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await repeat(5, port, 'GET /')).toEqual({ 200: 5 });
  });

  test('HTTP/1.1 becomes HTTP/2 where the Service says so; HTTP/2 stays', async () => {
    const port = await hold([routeFact('r', [{ backends: [backend('three')] }])]);
    expect(await status(port, 'GET /x')).toBe('200');
    const client = await dial2(port);
    const answer = await client.ask({ ':path': '/y' });
    await client[Symbol.asyncDispose]();
    expect(answer).toBe(200);
  });

  test('a websocket passes', async () => {
    const port = await hold([routeFact('r', [{ timeouts: { request: 1000 }, backends: [backend('one')] }])]);
    expect(await status(port, 'GET /ws\nConnection: Upgrade\nUpgrade: websocket')).toBe('101');
  });

  test('a Service with addresses of both families: each has routes of its own', async () => {
    const clusterIps = [address('fd96::1'), address('10.96.0.1')];
    const port = await hold([routeFact('r', [{ backends: [backend('one')] }])], { clusterIps });
    expect(await status(port, 'GET /x')).toBe('200');
  });

  test('another way to balance, with the same endpoints, interrupts nothing', async () => {
    const rule = routeFact('r', [{ backends: [backend('both')] }]);
    for (const affinitySeconds of [0, 60, 0]) {
      const both = serviceFact('both', { affinitySeconds });
      const port = await hold([both, ...endpointsFact('both', [one.port]), rule]);
      expect(await repeat(5, port, 'GET /')).toEqual({ 200: 5 });
    }
  });

  test('a connection that is held is routed by the new text at its next request', async () => {
    const port = await hold([routeFact('r', [{ backends: [backend('one')] }])]);
    const client = await dial(port);
    expect(await client.ask('GET /a')).toBe('200');
    await hold([routeFact('r', [{ backends: [] }])]);
    expect(await client.ask('GET /a')).toBe('500');
    await hold([routeFact('r', [{ match: match({ prefix: '/b' }), backends: [backend('one')] }])]);
    expect(await client.ask('GET /a')).toBe('404');
    await client[Symbol.asyncDispose]();
  });

  test('takes whatever routes and Services there may be', async () => {
    const histories = fc.array(routingChange, { minLength: 10, maxLength: 25, size: 'max' });
    let listeners = 0;
    for (const events of fc.sample(histories, { numRuns: 30, seed: 3 })) {
      const { shared } = compileFromScratch(finalState(events));
      listeners += (await envoy.hold(shared.upserts.values())).size;
      expect(envoy.rejected()).toEqual([]);
    }
    expect(listeners).toBeGreaterThan(20);
  }, 60_000);

  test('one client stays with one endpoint where the Service wants it', async () => {
    const both = (affinitySeconds: number) => [
      serviceFact('both', { affinitySeconds }),
      ...endpointsFact('both', [one.port, two.port]),
      routeFact('r', [{ backends: [backend('both')] }]),
    ];
    await repeat(40, await hold(both(60)), 'GET /');
    expect([one.seen.length, two.seen.length].sort()).toEqual([0, 40]);
    await repeat(40, await hold(both(0)), 'GET /');
    expect(Math.min(one.seen.length, two.seen.length)).toBeGreaterThan(5);
  });
});

function names(seen: Seen | undefined): string[] {
  return (seen?.headers ?? [])
    .filter((_, index) => index % 2 === 0)
    .map((name) => name.toLowerCase())
    .sort();
}

function headerIn(raw: readonly string[], name: string): string {
  const values = raw.flatMap((key, index) => (index % 2 === 0 && key.toLowerCase() === name ? [raw[index + 1]] : []));
  return values.join(',');
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 60 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
}

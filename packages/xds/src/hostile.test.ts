import { connect, createServer, type Socket } from 'node:net';
import { AggregatedDiscoveryServiceService } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/ads.ts';
import { DeltaDiscoveryResponse } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import { credentials, makeGenericClientConstructor, Server, type ServiceDefinition } from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ResourceCache } from './cache.ts';
import { follow, listen, RawClient, serve, TYPE, thing, until } from './testing/loopback.ts';

const raw: ServiceDefinition = {
  deltaAggregatedResources: {
    ...AggregatedDiscoveryServiceService.deltaAggregatedResources,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
};

/** A server that answers each stream with these bytes. */
async function serveBytes(messages: readonly Uint8Array[]) {
  const server = new Server();
  server.addService(raw, {
    deltaAggregatedResources: (call: { write(bytes: Buffer): void; on(event: string, listener: () => void): void }) => {
      call.on('error', () => {});
      for (const message of messages) call.write(Buffer.from(message));
    },
  });
  return listen(server);
}

const response = (parts: Parameters<typeof DeltaDiscoveryResponse.fromPartial>[0]): Uint8Array =>
  DeltaDiscoveryResponse.encode(DeltaDiscoveryResponse.fromPartial({ typeUrl: TYPE, nonce: '1', ...parts })).finish();
const content = { typeUrl: TYPE, value: Buffer.from('x') };

describe('a client of a hostile server', () => {
  test.each([
    ['bytes that are no message', Buffer.from([0xff, 0xff, 0xff, 0xff]), /13 INTERNAL/],
    ['a type that nobody asked for', response({ typeUrl: 'evil' }), /sent type "evil", which was not asked for/],
    ['no nonce', response({ nonce: '' }), /without a nonce/],
    ['a resource without a name', response({ resources: [{ resource: content }] }), /without name or content/],
    ['a resource without content', response({ resources: [{ name: 'x' }] }), /without name or content/],
    [
      'a resource of another type',
      response({ resources: [{ name: 'x', resource: { typeUrl: 'evil' } }] }),
      /sent x of type "evil" as a /,
    ],
    ['a part without its first', response({ systemVersionInfo: '1/2/3' }), /came at the start of an update/],
    [
      'more than fits',
      response({ resources: [{ name: 'x', resource: { typeUrl: TYPE, value: Buffer.alloc(300_000) } }] }),
      /larger than|RESOURCE_EXHAUSTED/,
    ],
  ])('sees %s, says so, and comes back later', async (_name, message, reason) => {
    await using server = await serveBytes([message]);
    await using follower = follow([server.target], { maxMessageBytes: 200_000, maxUpdateBytes: 100_000 });
    await until(() => follower.failures.length >= 2);
    for (const failure of follower.failures) expect(failure).toMatch(reason);
    expect(follower.batches).toEqual([]);
    follower.client.setTargets([]);
  });

  test('rejects an update that says two things of one name, and lives on', async () => {
    await using server = await serveBytes([
      response({ resources: [{ name: 'x', resource: content }], removedResources: ['x'] }),
      response({ resources: [{ name: 'y', resource: content }] }),
    ]);
    await using follower = follow([server.target]);
    await until(() => follower.batches.length === 1);
    expect([...follower.state.keys()]).toEqual(['y']);
  });

  test('survives a listener that speaks no gRPC', async () => {
    const sockets = new Set<Socket>();
    const listener = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      socket.write('SSH-2.0-OpenSSH\r\n');
    });
    const target = `/tmp/xds-hostile-${process.pid}.sock`;
    await new Promise<void>((resolve) => listener.listen(target, resolve));
    try {
      await using follower = follow([`unix:${target}`], { connectTimeoutMs: 200 });
      await until(() => follower.failures.length >= 2);
      expect(follower.batches).toEqual([]);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    }
  });
});

describe('a server with hostile clients', () => {
  test('survives any bytes as a request, and serves the others', async () => {
    const cache = new ResourceCache();
    cache.commit({ views: new Map([['a', { upserts: [thing('x')] }]]) });
    await using server = await serve(cache);
    const RawService = makeGenericClientConstructor(raw, 'raw');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }), async (messages) => {
        const client = new RawService(server.target, credentials.createInsecure());
        const method = client.deltaAggregatedResources;
        if (method === undefined) throw new Error('no such method');
        const call = method.call(client);
        const ended = new Promise((resolve) => call.on('error', resolve).on('end', resolve).resume());
        for (const message of messages) call.write(Buffer.from(message));
        call.end();
        await ended;
        client.close();
      }),
      { numRuns: 50 },
    );
    const path = server.target.replace('unix:', '');
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff']) {
      const socket = connect(path).on('error', () => {});
      socket.end(bytes, 'latin1');
    }
    using client = new RawClient(server.target);
    client.send({});
    expect((await client.response(1)).resources).toHaveLength(1);
    await until(() => server.ads.streams().length === 1);
  });

  test('names that mean something to JavaScript are names like others', async () => {
    const names = ['__proto__', 'constructor', 'toString'];
    const cache = new ResourceCache();
    cache.commit({ views: new Map([['a', { upserts: names.map((name) => thing(name)) }]]) });
    await using server = await serve(cache);
    await using follower = follow([server.target]);
    await until(() => follower.batches.length === 1);
    follower.client.reconnect();
    await until(() => follower.batches.length === 2);
    expect([...follower.state.keys()].sort()).toEqual([...names].sort());
  });
});

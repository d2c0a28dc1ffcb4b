import { generateKeyPairSync } from 'node:crypto';
import { connect as connectHttp2 } from 'node:http2';
import { connect as tlsConnect } from 'node:tls';
import {
  type ClientDuplexStream,
  type ClientWritableStream,
  credentials,
  Client as GrpcClient,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import {
  BootstrapService,
  type NodeReport,
  nodeResourceType,
  type ReportAck,
  ReportsClient,
  ReportsService,
} from '@weft/node-api';
import { AdsClient, ResourceCache, resource } from '@weft/xds';
import { KubeClient } from 'kopf-ts';
import { VirtualClock } from '../../packages/kopf-ts/test/virtual-clock.ts';
import { ReportStore } from '../reports/store.ts';
import { eventually } from '../testing/cluster.ts';
import { CertificateAuthority, createCa, LEAF_LIFETIME_MS } from '../trust/ca.ts';
import { operatorDnsName, ServingCertificate } from '../trust/serving.ts';
import { AgentServer } from './server.ts';

const clock = new VirtualClock();
const channel = {
  'grpc.ssl_target_name_override': operatorDnsName('weft-system'),
  'grpc.use_local_subchannel_pool': 1,
};
const fullReport: NodeReport = { full: true, agentVersion: '1', resources: [], conditions: [], synced: true };
const limits = { open: 2, openMs: 5_000, perNode: 3 };
const stopping = new AbortController();
const cache = new ResourceCache();
const reports = new ReportStore();
const log: string[] = [];
/** What would keep this process alive after a test that failed. */
const open: (() => unknown)[] = [];
let authority: CertificateAuthority;
let server: AgentServer;
/** Of nobody: no test here gets as far as the API server. */
let client: KubeClient;

beforeAll(async () => {
  // What TLS itself checks goes by the machine's clock.
  await clock.advance(Date.now() - clock.now());
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'none', server: 'https://127.0.0.1:1', skipTLSVerify: false },
    { name: 'none' },
  );
  client = new KubeClient(config);
  authority = await CertificateAuthority.load(await createCa(clock.now()), clock.now());
  const note = (line: string): void => void log.push(line);
  const dnsName = operatorDnsName('weft-system');
  const certificate = await ServingCertificate.issue({ authority, dnsName, clock, log: note });
  void certificate.run(stopping.signal);
  const bootstrap = { client, namespace: 'weft-system', authority, now: () => clock.now(), log: note };
  server = await AgentServer.start({ bootstrap, certificate, cache, reports, port: 0, clock, limits });
  cache.commit({ views: new Map([['node-a', {}]]) });
});

afterAll(async () => {
  for (const close of open) await close();
  stopping.abort();
  await server.stop(100);
  client.close();
});

function target(): string {
  return `127.0.0.1:${server.port}`;
}

async function agentPair(node: string): Promise<{ readonly certificate: Buffer; readonly key: Buffer }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = await authority.issueAgent(node, publicKey.export({ type: 'spki', format: 'der' }), clock.now());
  const key = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { certificate: Buffer.from(certificate), key };
}

async function agentCredentials(node: string): Promise<ReturnType<typeof credentials.createSsl>> {
  const { certificate, key } = await agentPair(node);
  return credentials.createSsl(Buffer.from(authority.certificatePem), key, certificate);
}

/** A stream of reports and how it ended. */
interface Reporting {
  readonly stream: ClientDuplexStream<NodeReport, ReportAck>;
  readonly ended: Promise<ServiceError>;
  close(): void;
}

async function report(node: string): Promise<Reporting> {
  const reporting = new ReportsClient(target(), await agentCredentials(node), channel);
  const stream = reporting.report();
  const ended = new Promise<ServiceError>((resolve) => stream.on('error', resolve));
  const close = (): void => {
    stream.cancel();
    reporting.close();
  };
  open.push(close);
  return { stream, ended, close };
}

async function answered(stream: Reporting['stream']): Promise<void> {
  const answer = new Promise((resolve) => stream.once('data', resolve));
  stream.write(fullReport);
  await answer;
}

/** A value, once it has not changed for a second. */
async function settled(value: () => number): Promise<number> {
  for (let before = value(); ; before = value()) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    if (value() === before) return before;
  }
}

/** A call of Certify that never says what it wants. */
function knock(): {
  readonly call: ClientWritableStream<Buffer>;
  readonly ended: Promise<ServiceError>;
  close(): void;
} {
  const plain = new GrpcClient(target(), credentials.createSsl(Buffer.from(authority.certificatePem)), channel);
  const { promise: ended, resolve } = Promise.withResolvers<ServiceError>();
  const same = (bytes: Buffer): Buffer => bytes;
  const call = plain.makeClientStreamRequest(BootstrapService.certify.path, same, same, (error) => {
    if (error !== null) resolve(error);
  });
  return { call, ended, close: () => plain.close() };
}

describe('the port', () => {
  test('ends a call without a certificate before anything of it is read', async () => {
    const bare = new ReportsClient(target(), credentials.createSsl(Buffer.from(authority.certificatePem)), channel);
    const plain = new GrpcClient(target(), credentials.createSsl(Buffer.from(authority.certificatePem)), channel);
    const same = (bytes: Buffer): Buffer => bytes;
    const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
    for (const stream of [bare.report(), plain.makeBidiStreamRequest(path, same, same)]) {
      // It sends nothing at all: only the door can have refused it.
      await expect(new Promise((resolve) => stream.on('error', resolve))).resolves.toMatchObject({
        code: status.PERMISSION_DENIED,
        details: expect.stringMatching(/needs a client certificate/),
      });
    }
    bare.close();
    plain.close();
  });

  test('lets few ask for certificates at once, and none of them for long', async () => {
    const first = [knock(), knock()];
    const third = await eventually(async () => {
      const one = knock();
      const error = await one.ended;
      one.close();
      return error;
    });
    expect(third).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: expect.stringMatching(/too many ask/) });
    await clock.advance(limits.openMs);
    for (const { ended, close } of first) {
      expect(await ended).toMatchObject({
        code: status.DEADLINE_EXCEEDED,
        details: expect.stringMatching(/not complete/),
      });
      close();
    }
    const fourth = knock();
    fourth.call.end(Buffer.alloc(0));
    expect(await fourth.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    fourth.close();
  });

  test('has room for few calls of one node, and for those of others all the same', async () => {
    const held = [await report('greedy'), await report('greedy'), await report('greedy')];
    for (const { stream } of held) await answered(stream);
    const more = await report('greedy');
    expect(await more.ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringMatching(/node greedy has 3 calls open/),
    });
    const other = await report('modest');
    await answered(other.stream);
    held[0]?.close();
    await eventually(async () => {
      const again = await report('greedy');
      held.push(again);
      await Promise.race([
        answered(again.stream),
        again.ended.then((error) => {
          throw error;
        }),
      ]);
    });
    for (const each of [...held, more, other]) each.close();
  });

  test('reads nothing more of an agent that does not read the answers to its reports', async () => {
    // No client of gRPC would do that, so this is plain HTTP/2.
    const { certificate, key } = await agentPair('deaf');
    const session = connectHttp2(`https://127.0.0.1:${server.port}`, {
      ca: authority.certificatePem,
      cert: certificate,
      key,
      servername: operatorDnsName('weft-system'),
      settings: { initialWindowSize: 256 },
    });
    open.push(() => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': ReportsService.report.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const said = 30_000;
    for (let each = 1; each <= said; each++) {
      const bytes = ReportsService.report.requestSerialize({ ...fullReport, agentVersion: String(each) });
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(bytes.length, 1);
      stream.write(Buffer.concat([prefix, bytes]));
    }
    await eventually(() => expect(reports.get('deaf')?.connected).toBe(true));
    const heard = await settled(() => Number(reports.get('deaf')?.agentVersion));
    expect(heard).toBeLessThan(said);
    stream.resume();
    await eventually(() => expect(reports.get('deaf')?.agentVersion).toBe(String(said)), 60_000);
    session.destroy();
  }, 120_000);

  test('ends what an agent has open when its certificate expires, and not when its own is renewed', async () => {
    const old = await report('node-a');
    await answered(old.stream);
    const before = await servingSerial();
    const seen: string[] = [];
    const tls = await agentCredentials('node-a');
    const ads = new AdsClient({
      targets: [target()],
      credentials: () => tls,
      channelOptions: channel,
      node: { id: 'node-a' },
      subscriptions: [{ typeUrl: nodeResourceType }],
      onBatch: ({ upserts }) => void seen.push(...upserts.map(({ name }) => name)),
    });
    open.push(() => ads.stop());
    ads.start();
    await eventually(() => expect(server.ads.streams()).toHaveLength(1));

    await clock.advance(LEAF_LIFETIME_MS / 2);
    await eventually(async () => expect(await servingSerial()).not.toBe(before));
    cache.commit({ shared: { upserts: [resource(nodeResourceType, 'node/node-b', Buffer.alloc(0))] } });
    await eventually(() => expect(seen).toEqual(['node/node-b']));
    await answered(old.stream);

    await clock.advance(LEAF_LIFETIME_MS / 2 + 2_000);
    expect(await old.ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringMatching(/certificate has expired/),
    });
    await eventually(() => expect(server.ads.streams()).toEqual([]));
    expect(reports.get('node-a')?.connected).toBe(false);
    old.close();
  });
});

/** Of the certificate that a new connection is shown; by the machine's clock it may be one of the future. */
function servingSerial(): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
    const socket = tlsConnect({ ...options, servername: operatorDnsName('weft-system') }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** An operator and API server for tests: the real protocols over loopback, and state that the test chooses. */
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttps, type Server as HttpsServer } from 'node:https';
import { join } from 'node:path';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  type BootstrapServer,
  BootstrapService,
  type CertifyRequest,
  NodeResource,
  nodeResourceType,
  type ReportsServer,
  ReportsService,
  type ResourceReport,
} from '@weft/node-api';
import { AdsServer, ResourceCache, resource } from '@weft/xds';
import type { Resource } from '../tables/resource.ts';

const SERVER_NAME = 'weft-operator.weft-system.svc';

export class TestOperator {
  readonly cache = new ResourceCache();
  readonly reported = new Map<string, ResourceReport>();
  readonly #reports = new EventEmitter();
  #synced = false;
  readonly #node: string;
  readonly #dir: string;
  #grpc: Server | undefined;
  #api: HttpsServer | undefined;
  #port = 0;

  private constructor(node: string, dir: string) {
    this.#node = node;
    this.#dir = dir;
  }

  /** @param dir where the CA's files go */
  static async start(node: string, dir: string): Promise<TestOperator> {
    mkdirSync(dir, { recursive: true });
    const args = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/CN=test',
    ];
    execFileSync('openssl', [...args, '-days', '1', '-keyout', 'ca.key', '-out', 'ca.crt'], {
      cwd: dir,
      stdio: 'ignore',
    });
    const operator = new TestOperator(node, dir);
    await operator.listen();
    return operator;
  }

  get caPem(): string {
    return readFileSync(join(this.#dir, 'ca.crt'), 'utf8');
  }

  /** Resolves once the agent has reported this resource: the batch that brought it is in the kernel, or was refused. */
  async heardOf(name: string): Promise<void> {
    while (!this.reported.has(name)) await once(this.#reports, 'report');
  }

  get isSynced(): boolean {
    return this.#synced;
  }

  /** Resolves once the agent has said that everything it was sent is in the kernel, or why not. */
  async synced(): Promise<void> {
    while (!this.#synced) await once(this.#reports, 'report');
  }

  /** As if no agent had ever reported. */
  forgetReports(): void {
    this.#synced = false;
    this.reported.clear();
  }

  /** Makes the node hold exactly what is given besides what it held. */
  put(resources: ReadonlyMap<string, Resource>, deletes: readonly string[] = []): void {
    const upserts = [...resources].map(([name, value]) =>
      resource(nodeResourceType, name, NodeResource.encode({ resource: value }).finish()),
    );
    const gone = deletes.map((name) => ({ typeUrl: nodeResourceType, name }));
    this.cache.commit({ views: new Map([[this.#node, { upserts, deletes: gone }]]) });
  }

  async listen(): Promise<void> {
    const { key, certificate } = this.#serverCertificate();
    const server = new Server();
    const ads = new AdsServer({ cache: this.cache, authorize: () => ({ view: this.#node }) });
    ads.addTo(server);
    const bootstrap: BootstrapServer = {
      certify: (call, callback) => {
        try {
          callback(null, this.#certify(call.request));
        } catch (error) {
          callback({ code: status.PERMISSION_DENIED, details: String(error) });
        }
      },
    };
    const reports: ReportsServer = {
      report: (call) => {
        let received = 0n;
        call.on('error', () => {});
        call.on('end', () => call.end());
        call.on('data', (report) => {
          if (report.full) this.reported.clear();
          for (const entry of report.resources) this.reported.set(entry.name, entry);
          this.#synced = report.synced;
          this.#reports.emit('report');
          received += 1n;
          call.write({ received });
        });
      },
    };
    server.addService(BootstrapService, bootstrap);
    server.addService(ReportsService, reports);
    const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
    const credentials = ServerCredentials.createSsl(Buffer.from(this.caPem), [pair], false);
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, credentials, (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    this.#grpc = server;
  }

  /** The API server's two objects. @returns its URL */
  async serveApi(): Promise<string> {
    const { key, certificate } = this.#serverCertificate();
    const api = createHttps({ key, cert: certificate }, (request, response) => {
      const configMap = { data: { 'ca.crt': this.caPem } };
      const slice = { endpoints: [{ addresses: ['127.0.0.1'] }], ports: [{ port: this.#port }] };
      const allowed = request.headers.authorization === 'Bearer api-token';
      response.writeHead(allowed ? 200 : 401);
      response.end(JSON.stringify(request.url?.endsWith('/configmaps/weft-ca') ? configMap : slice));
    });
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    this.#api = api;
    const address = api.address();
    return `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  }

  /** Gone, with its API server: connections are cut. */
  stop(): void {
    this.#grpc?.forceShutdown();
    this.#api?.closeAllConnections();
    this.#api?.close();
  }

  #certify({ publicKey, token }: CertifyRequest) {
    if (token !== 'operator-token') throw new Error('not this token');
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    const certificatePem = this.#issue(`/CN=${this.#node}`, key, '');
    return { certificatePem, caPem: this.caPem, node: this.#node };
  }

  #serverCertificate(): { key: string; certificate: string } {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const certificate = this.#issue('/CN=operator', publicKey, `subjectAltName=DNS:${SERVER_NAME},IP:127.0.0.1`);
    return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certificate };
  }

  #issue(subject: string, key: KeyObject, extensions: string): string {
    writeFileSync(join(this.#dir, 'pub.pem'), key.export({ type: 'spki', format: 'pem' }));
    writeFileSync(join(this.#dir, 'ext'), extensions);
    const args = ['x509', '-new', '-force_pubkey', 'pub.pem', '-subj', subject, '-days', '1', '-extfile', 'ext'];
    return execFileSync('openssl', [...args, '-CA', 'ca.crt', '-CAkey', 'ca.key'], {
      cwd: this.#dir,
      encoding: 'utf8',
    });
  }
}

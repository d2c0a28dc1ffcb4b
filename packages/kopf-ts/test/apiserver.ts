import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { goProgram } from '../../../test/cluster/gobuild.ts';
import { KubeClient, KubeError, sleep, systemClock } from '../src/index.ts';

const issuer = 'https://kubernetes.default.svc';

export interface ApiServerOptions {
  /** Without the watch cache every list and watch is etcd's own, compaction included. */
  readonly watchCache?: boolean;
}

/** A real etcd and kube-apiserver on loopback: no nodes, no controllers. */
export class ApiServer {
  readonly #dir: string;
  readonly #bin: string;
  readonly #ports: { readonly client: number; readonly peer: number; readonly api: number };
  readonly #adminToken: string;
  readonly #serviceAccountKey: KeyObject;
  readonly #options: ApiServerOptions;
  #etcd: ChildProcess | undefined;
  #api: ChildProcess | undefined;

  private constructor(bin: string, ports: number[], options: ApiServerOptions) {
    const [client = 0, peer = 0, api = 0] = ports;
    this.#bin = bin;
    this.#ports = { client, peer, api };
    this.#options = options;
    this.#dir = mkdtempSync(join(tmpdir(), 'kopf-apiserver-'));
    this.#adminToken = createHmac('sha256', randomBytes(32)).update('admin').digest('hex');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#serviceAccountKey = privateKey;
    writeFileSync(join(this.#dir, 'sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
    writeFileSync(join(this.#dir, 'tokens.csv'), `${this.#adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
  }

  static async start(options: ApiServerOptions = {}): Promise<ApiServer> {
    const server = new ApiServer(await goProgram('kubernetes'), await freePorts(3), options);
    server.#startEtcd();
    server.startApi();
    await server.whenReady();
    return server;
  }

  get port(): number {
    return this.#ports.api;
  }

  /** A kubeconfig by default for an administrator; `port` may be that of a proxy. */
  config(options: { readonly port?: number; readonly token?: string; readonly tokenFile?: string } = {}): KubeConfig {
    const config = new KubeConfig();
    const { port = this.#ports.api, token = this.#adminToken, tokenFile } = options;
    const user =
      tokenFile === undefined
        ? { name: 'user', token }
        : { name: 'user', authProvider: { name: 'tokenFile', config: { tokenFile } } };
    // The API server's self-signed certificate comes with the authority that signed it.
    const caFile = join(this.#dir, 'certs', 'apiserver.crt');
    config.loadFromClusterAndUser(
      { name: 'c', server: `https://127.0.0.1:${port}`, caFile, skipTLSVerify: false },
      user,
    );
    return config;
  }

  client(options: { readonly port?: number; readonly token?: string; readonly tokenFile?: string } = {}): KubeClient {
    return new KubeClient(this.config(options));
  }

  startApi(): void {
    const sa = join(this.#dir, 'sa.key');
    this.#api = this.#spawn('kube-apiserver', [
      `--etcd-servers=${this.#etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=192.0.2.1',
      `--secure-port=${this.#ports.api}`,
      `--cert-dir=${join(this.#dir, 'certs')}`,
      `--token-auth-file=${join(this.#dir, 'tokens.csv')}`,
      `--service-account-issuer=${issuer}`,
      `--service-account-key-file=${sa}`,
      `--service-account-signing-key-file=${sa}`,
      '--service-cluster-ip-range=10.96.0.0/24',
      '--allow-privileged=true',
      '--authorization-mode=RBAC',
      '--disable-admission-plugins=ServiceAccount',
      '--endpoint-reconciler-type=none',
      `--watch-cache=${this.#options.watchCache ?? true}`,
    ]);
  }

  /** Ends the API server as a power cut would. */
  async killApi(): Promise<void> {
    await end(this.#api);
  }

  /** Until it answers, and its own bootstrap objects are there. */
  async whenReady(): Promise<void> {
    const giveUpAt = systemClock.monotonic() + 60_000;
    for (;;) {
      try {
        const client = this.client();
        await client.raw({ method: 'GET', path: '/api/v1/namespaces/default' });
        client.close();
        return;
      } catch (error) {
        if (this.#api?.exitCode !== null || systemClock.monotonic() > giveUpAt) {
          throw new Error(`kube-apiserver did not get ready: ${this.#log('kube-apiserver')}`, { cause: error });
        }
        await sleep(systemClock, 50);
      }
    }
  }

  /** Throws away etcd's history: what started before now can't be continued. */
  async compact(): Promise<void> {
    const { header } = await this.#etcdCall('range', { key: Buffer.from('none').toString('base64') });
    const revision =
      typeof header === 'object' && header !== null && 'revision' in header ? header.revision : undefined;
    await this.#etcdCall('compaction', { revision, physical: true });
  }

  /**
   * A token of a service account, signed as the API server signs them. Verification allows a minute of leeway, and
   * keeps a positive answer for ten seconds.
   */
  token(
    account: { readonly namespace: string; readonly name: string; readonly uid: string },
    expiresInSeconds: number,
  ): string {
    const now = Math.floor(Date.now() / 1000);
    const { namespace, name, uid } = account;
    const claims = {
      iss: issuer,
      aud: [issuer],
      sub: `system:serviceaccount:${namespace}:${name}`,
      iat: now - 3600,
      nbf: now - 3600,
      exp: now + expiresInSeconds - 60,
      jti: randomBytes(16).toString('hex'),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
    };
    const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
    const signed = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), this.#serviceAccountKey).toString('base64url')}`;
  }

  async stop(): Promise<void> {
    await end(this.#api);
    await end(this.#etcd);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  get #etcdUrl(): string {
    return `http://127.0.0.1:${this.#ports.client}`;
  }

  #startEtcd(): void {
    const peer = `http://127.0.0.1:${this.#ports.peer}`;
    this.#etcd = this.#spawn('etcd', [
      '--name=etcd',
      `--data-dir=${join(this.#dir, 'etcd')}`,
      `--listen-client-urls=${this.#etcdUrl}`,
      `--advertise-client-urls=${this.#etcdUrl}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=etcd=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ]);
  }

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.#dir, `${program}.log`), 'a');
    // Whatever happens to the test's process, these end with it.
    const command = ['--pdeathsig', 'KILL', '--', join(this.#bin, program), ...args];
    return spawn('setpriv', command, { stdio: ['ignore', log, log] });
  }

  #log(program: string): string {
    return readFileSync(join(this.#dir, `${program}.log`), 'utf8')
      .split('\n')
      .slice(-5)
      .join('\n');
  }

  /** etcd's JSON gateway, https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/. */
  async #etcdCall(call: 'range' | 'compaction', body: object): Promise<{ readonly header?: unknown }> {
    const response = await fetch(`${this.#etcdUrl}/v3/kv/${call}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new KubeError({ status: response.status, reason: 'etcd', message: await response.text() });
    return (await response.json()) as { readonly header?: unknown };
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
}

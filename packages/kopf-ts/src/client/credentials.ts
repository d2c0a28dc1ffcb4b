import http from 'node:http';
import https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../clock.ts';

/** What a request needs to reach the API server and to be let in. */
export interface Connection {
  readonly server: URL;
  readonly agent: http.Agent;
  readonly headers: Readonly<Record<string, string>>;
}

/** How long tokens and certificates that were read from files are used before they are read again. */
const freshMs = 30_000;

/**
 * Connections for a kubeconfig's current context. Files and exec plugins are asked again after 30 s, and at once after
 * {@link Credentials.renew}; TCP connections are kept alive as long as the TLS identity stays the same.
 */
export class Credentials {
  readonly #clock: Clock;
  #config: KubeConfig;
  #current: { readonly connection: Connection; readonly identity: string; readonly until: number } | undefined;
  #pending: Promise<Connection> | undefined;

  constructor(config: KubeConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  connection(): Promise<Connection> {
    if (this.#current !== undefined && this.#clock.monotonic() < this.#current.until) {
      return Promise.resolve(this.#current.connection);
    }
    this.#pending ??= this.#load().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  /** The server refused what `used` carried: forget every cached token, unless someone else already did. */
  renew(used: Connection): void {
    if (this.#current === undefined || this.#current.connection !== used) return;
    this.#current = { ...this.#current, until: Number.NEGATIVE_INFINITY };
    // Authenticators keep tokens for as long as they think them valid; a copy of the configuration starts without.
    const fresh = new KubeConfig();
    fresh.loadFromOptions({
      clusters: this.#config.getClusters(),
      contexts: this.#config.getContexts(),
      users: this.#config.getUsers(),
      currentContext: this.#config.getCurrentContext(),
    });
    this.#config = fresh;
  }

  /** Closes idle and running connections. */
  close(): void {
    this.#current?.connection.agent.destroy();
    this.#current = undefined;
  }

  async #load(): Promise<Connection> {
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig has no current cluster: set its current-context');
    const server = new URL(cluster.server);
    const options: https.RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const identity = JSON.stringify([
      server.href,
      [ca, cert, key, pfx, passphrase].map((part) => part?.toString()),
      rejectUnauthorized,
      servername,
    ]);
    const agent =
      this.#current?.identity === identity
        ? this.#current.connection.agent
        : (this.#proxied(cluster.proxyUrl, options) ?? newAgent(server, options));
    const connection = { server, agent, headers: headersOf(options) };
    this.#current = { connection, identity, until: this.#clock.monotonic() + freshMs };
    return connection;
  }

  #proxied(proxyUrl: string | undefined, options: https.RequestOptions): http.Agent | undefined {
    return proxyUrl !== undefined && options.agent instanceof http.Agent ? options.agent : undefined;
  }
}

function newAgent(server: URL, options: https.RequestOptions): http.Agent {
  const keepAlive = { keepAlive: true, keepAliveMsecs: 30_000, scheduling: 'lifo' } as const;
  if (server.protocol === 'http:') return new http.Agent(keepAlive);
  const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
  const tls = { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername };
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined && value !== null));
  return new https.Agent({ ...given, ...keepAlive });
}

function headersOf(options: https.RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // A token file usually ends in a line break, which no header may contain.
    if (value !== undefined) headers[name] = String(value).trim();
  }
  if (typeof options.auth === 'string') {
    headers.Authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  return headers;
}

/**
 * A kubeconfig for a pod's service account that reaches the API server by a configured address, for pods that must
 * start before Services and DNS work.
 */
export function serviceAccountConfig(options: {
  readonly server: string;
  readonly caFile?: string;
  readonly tokenFile?: string;
}): KubeConfig {
  const root = '/var/run/secrets/kubernetes.io/serviceaccount';
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'cluster', server: options.server, caFile: options.caFile ?? `${root}/ca.crt`, skipTLSVerify: false },
    {
      name: 'service-account',
      authProvider: { name: 'tokenFile', config: { tokenFile: options.tokenFile ?? `${root}/token` } },
    },
  );
  return config;
}

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

/** What RBAC is asked about a request; see "Determine the Request Verb" in the Kubernetes documentation. */
export interface Request {
  readonly verb: string;
  readonly group: string;
  /** With the subresource: `pods/status`. */
  readonly resource: string;
  /** '' for the whole cluster. */
  readonly namespace: string;
  /** '' for none. */
  readonly name: string;
  /** When it was answered, in milliseconds of the process's monotonic clock. */
  readonly at: number;
}

/** Stands between a client and a real API server, changes nothing, and remembers what was asked and not refused. */
export class Recorder {
  readonly requests: Request[] = [];
  readonly #server: http.Server;
  readonly #upstream: URL;
  readonly #agent: https.Agent;

  private constructor(config: KubeConfig) {
    const { server = '', caFile = '' } = config.getCurrentCluster() ?? {};
    this.#upstream = new URL(server);
    this.#agent = new https.Agent({ keepAlive: true, ca: readFileSync(caFile) });
    this.#server = http.createServer((request, response) => this.#forward(request, response));
  }

  /** `config`: of the API server. */
  static async start(config: KubeConfig): Promise<Recorder> {
    const recorder = new Recorder(config);
    await new Promise<void>((resolve) => recorder.#server.listen(0, '127.0.0.1', resolve));
    return recorder;
  }

  /** For a client that goes through here. */
  config(token: string): KubeConfig {
    const address = this.#server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: 'recorder', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
      { name: 'user', token },
    );
    return config;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { method = 'GET', url = '/', headers } = request;
    const target = new URL(url, this.#upstream);
    const upstream = https.request(target, { method, headers: { ...headers, host: target.host }, agent: this.#agent });
    upstream.on('response', (answer) => {
      const { statusCode = 500 } = answer;
      if (statusCode !== 401 && statusCode !== 403) this.#remember(method, target, statusCode);
      response.writeHead(statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  }

  #remember(method: string, url: URL, statusCode: number): void {
    const request = requestOf(method, url);
    if (request === undefined) return;
    this.requests.push(request);
    // Who applies what is not there needs the right to create it as well.
    if (request.verb === 'patch' && statusCode === 201) this.requests.push({ ...request, verb: 'create', name: '' });
  }
}

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** undefined: not about a resource. */
function requestOf(method: string, { pathname, searchParams }: URL): Request | undefined {
  const found =
    /^\/(?:api|apis\/([^/]+))\/v[^/]+\/(?:namespaces\/([^/]+)\/(?=[^/]+))?([^/]+)(?:\/([^/]+))?(?:\/(.+))?$/.exec(
      pathname,
    );
  if (found === null) return undefined;
  const [, group = '', namespace = '', plural = '', name = '', subresource] = found;
  const reads = name !== '' ? 'get' : searchParams.get('watch') === 'true' ? 'watch' : 'list';
  return {
    verb: method === 'GET' ? reads : (VERBS[method] ?? method),
    group,
    resource: subresource === undefined ? plural : `${plural}/${subresource}`,
    namespace,
    name,
    at: performance.now(),
  };
}

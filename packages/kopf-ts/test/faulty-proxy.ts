import http from 'node:http';
import https from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { KubeConfig as Config } from '@kubernetes/client-node';

/** What to answer instead of passing the request on. */
export interface Fault {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An HTTP proxy in front of a real API server that answers some requests itself. */
export class FaultyProxy {
  readonly #server: http.Server;
  readonly #agent: https.Agent;
  readonly #target: string;
  readonly #headers: Readonly<Record<string, unknown>>;
  /** Asked for each request; `undefined` passes it on. */
  fault: (request: http.IncomingMessage) => Fault | undefined = () => undefined;
  faults = 0;
  requests = 0;

  private constructor(target: string, options: https.RequestOptions) {
    this.#target = target;
    const { ca } = options;
    this.#agent = new https.Agent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) });
    this.#headers = Object.fromEntries(Object.entries(options.headers ?? {}));
    this.#server = http.createServer((request, response) => this.#handle(request, response));
  }

  /** @param config how the proxy itself reaches the API server */
  static async start(config: KubeConfig): Promise<FaultyProxy> {
    const options: https.RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    const proxy = new FaultyProxy(config.getCurrentCluster()?.server ?? '', options);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  config(): KubeConfig {
    const address = this.#server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const config = new Config();
    config.loadFromClusterAndUser(
      { name: 'p', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
      { name: 'p' },
    );
    return config;
  }

  /** Cuts all connections now. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #handle(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.requests++;
    const fault = this.fault(request);
    if (fault !== undefined) {
      this.faults++;
      request.resume();
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return;
    }
    const headers = { ...request.headers, ...this.#headers, host: undefined };
    const given: Record<string, string> = {};
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) given[name] = String(value);
    const { method = 'GET', url = '/' } = request;
    const onward = https.request(`${this.#target}${url}`, { method, headers: given, agent: this.#agent }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }
}

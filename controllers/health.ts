import { createServer, type Server } from 'node:http';

export interface HealthOptions {
  /** Why a restart is needed; undefined: none is. */
  readonly broken: () => string | undefined;
  /** What is still waited for; undefined: nothing. */
  readonly waiting: () => string | undefined;
}

/** Answers kubelet's probes. */
export class HealthServer {
  readonly #server: Server;

  constructor(options: HealthOptions) {
    const checks: Readonly<Record<string, () => string | undefined>> = {
      '/healthz': options.broken,
      '/readyz': () => options.broken() ?? options.waiting(),
    };
    this.#server = createServer((request, response) => {
      const check = Object.hasOwn(checks, request.url ?? '') ? checks[request.url ?? ''] : undefined;
      const problem = check?.();
      const [code, text] =
        check === undefined ? [404, 'not found'] : problem === undefined ? [200, 'ok'] : [503, problem];
      response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Resolves with the port. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Writes to an API server, each with the time of its answer. */
import { Agent, type RequestOptions, request } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { monotonicMs } from '../mapwatch.ts';

/** Both in ms of the monotonic clock. */
export interface Written {
  readonly sent: number;
  /** The answer's headers have arrived. */
  readonly answered: number;
}

export class WriteClient {
  readonly #agent: Agent;
  readonly #server: string;

  private constructor(server: string, options: RequestOptions) {
    this.#server = server;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, ca: options.ca, cert: options.cert, key: options.key });
  }

  static async open(kubeconfig: string): Promise<WriteClient> {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    return new WriteClient(config.getCurrentCluster()?.server ?? '', options);
  }

  /** @throws Error with the API server's sentence if it refuses; a DELETE of what is absent is no error */
  write(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<Written> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = body === undefined ? {} : { 'Content-Type': type };
    const sent = monotonicMs();
    return new Promise((resolve, reject) => {
      const call = request(new URL(path, this.#server), { agent: this.#agent, method, headers }, (response) => {
        const answered = monotonicMs();
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          if (status < 300 || (method === 'DELETE' && status === 404)) resolve({ sent, answered });
          else reject(new Error(`${method} ${path}: ${status} ${Buffer.concat(chunks).toString('utf8')}`));
        });
      });
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

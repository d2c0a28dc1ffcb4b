import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy in front of a local port that cuts connections after so many bytes from the server. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Bytes after which the next connection is cut; `undefined` leaves it alone. Asked for each connection. */
  budget: () => number | undefined = () => undefined;
  cuts = 0;
  connections = 0;

  private constructor(target: number) {
    this.#server = createServer((client) => this.#join(client, connect(target, '127.0.0.1')));
  }

  static async start(target: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Cuts all connections now. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      this.cuts++;
      client.resetAndDestroy();
      server.destroy();
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #join(client: Socket, server: Socket): void {
    this.connections++;
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    let left = this.budget() ?? Number.POSITIVE_INFINITY;
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) {
      socket.on('error', end);
      socket.on('close', end);
    }
    client.pipe(server);
    server.on('data', (bytes: Buffer) => {
      if (bytes.length < left) {
        left -= bytes.length;
        client.write(bytes);
        return;
      }
      // What was written is still delivered, so that the client really sees a part of a record.
      this.cuts++;
      client.end(bytes.subarray(0, left), end);
    });
  }
}

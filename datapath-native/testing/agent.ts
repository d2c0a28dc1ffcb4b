/** The agent's end of the CNI socket, with answers that the test chooses. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface Request {
  readonly command: string;
  readonly containerId?: string;
  readonly ifName?: string;
  readonly hostIfName?: string;
  readonly hostIfIndex?: number;
  readonly valid?: readonly { containerId: string; ifName: string }[];
  readonly pod?: { namespace: string; name: string; uid: string };
  readonly addresses?: readonly string[];
}

export class AgentEnd {
  readonly requests: Request[] = [];
  /** Text that goes back for a request; undefined closes the connection without a word. */
  answer: (request: Request) => Promise<string | undefined> | string | undefined = () => '{"ok":true}';
  readonly #server: Server;

  readonly path: string;

  constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(): Promise<void> {
    this.#server.listen(this.path);
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    socket.on('error', () => undefined);
    createInterface({ input: socket }).on('line', async (line) => {
      const request: Request = JSON.parse(line);
      this.requests.push(request);
      const answer = await this.answer(request);
      socket.end(answer === undefined ? '' : `${answer}\n`);
    });
  }
}

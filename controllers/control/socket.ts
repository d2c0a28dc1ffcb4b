import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { asError } from '../errors.ts';

/** Longest request, in bytes. */
const MAX_REQUEST = 65_536;
const IDLE_MS = 30_000;

/** Answers a command with something that JSON can express; throws a sentence for the user. */
export type Commands = Readonly<Record<string, () => unknown>>;

/**
 * The operator's control socket: for those who may `exec` in its pod. Each line is a request, as
 * `{"command":"status"}`; each is answered with one line: `{"ok":…}` or `{"error":"a sentence"}`.
 */
export class ControlSocket {
  readonly #path: string;
  readonly #commands: Commands;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  constructor(path: string, commands: Commands) {
    this.#path = path;
    this.#commands = commands;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** @throws Error if the directory can't be written to */
  async listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    // Left behind by a process that was killed.
    rmSync(this.#path, { force: true });
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(this.#path, resolve);
      });
    } finally {
      process.umask(mask);
    }
    chmodSync(this.#path, 0o600);
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#path, { force: true });
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    let buffered = '';
    socket.setEncoding('utf8');
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#open.delete(socket));
    socket.on('data', (text: string) => {
      const lines = (buffered + text).split('\n');
      buffered = lines.pop() ?? '';
      if (buffered.length > MAX_REQUEST) {
        socket.end(`${JSON.stringify({ error: `a request may have ${MAX_REQUEST} bytes` })}\n`);
        return;
      }
      for (const line of lines) if (line.trim() !== '') socket.write(`${this.#answer(line)}\n`);
    });
  }

  #answer(line: string): string {
    try {
      const command = commandOf(line);
      const run = Object.hasOwn(this.#commands, command) ? this.#commands[command] : undefined;
      if (run === undefined) {
        const known = Object.keys(this.#commands).join(', ');
        return JSON.stringify({
          error: `there is no command ${JSON.stringify(command.slice(0, 64))}; there are: ${known}`,
        });
      }
      return JSON.stringify({ ok: run() });
    } catch (thrown) {
      return JSON.stringify({ error: asError(thrown).message });
    }
  }
}

function commandOf(line: string): string {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    throw new Error('a request is one line of JSON, for example {"command":"status"}');
  }
  if (typeof request === 'object' && request !== null && 'command' in request && typeof request.command === 'string') {
    return request.command;
  }
  throw new Error('a request names its command, for example {"command":"status"}');
}

/** Tells the supervisors in the proxy pods whether Envoy is to run, and hears from them how it goes. */
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../lib/errors.ts';
import { readLines } from '../lib/lines.ts';
import type { Log } from '../lib/log.ts';
import { removeStaleSocket, shareSocket } from '../lib/unix-socket.ts';
import { parseSupervisorState, type SupervisorState } from './supervisor-state.ts';

const MAX_LINE = 16_384;
/** Two pods during an upgrade; the rest are those that come back before their old connection has ended. */
const MAX_CLIENTS = 16;
/** Who connects says at once who it is, ms. */
const HELLO_MS = 10_000;

export interface SupervisorServerOptions {
  readonly path: string;
  readonly group: number;
  /** What a supervisor is told when it connects. */
  readonly run: () => boolean;
  readonly onChange: () => void;
  readonly log: Log;
}

interface Connected {
  readonly socket: Socket;
  readonly state: SupervisorState;
  retired: boolean;
}

export class SupervisorServer {
  readonly #options: SupervisorServerOptions;
  readonly #sockets = new Set<Socket>();
  /** By pod uid. */
  readonly #clients = new Map<string, Connected>();
  #server: Server | undefined;

  constructor(options: SupervisorServerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { path, group } = this.#options;
    removeStaleSocket(path);
    const server = createServer((socket) => this.#serve(socket));
    server.maxConnections = MAX_CLIENTS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new Error(`${path} can't be served: ${error.message}`)));
      // The socket must never be open to others, not for a moment.
      const mask = process.umask(0o117);
      server.listen(path, resolve);
      process.umask(mask);
    });
    shareSocket(path, group);
    this.#server = server;
  }

  stop(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** What the supervisor of a pod said last; undefined: it is not connected. */
  state(uid: string): SupervisorState | undefined {
    return this.#clients.get(uid)?.state;
  }

  /** To be called when what `run` says has changed. */
  tellAll(): void {
    for (const socket of this.#sockets) send(socket, { run: this.#options.run() });
  }

  /** Answers a supervisor that drains, once. */
  retire(uid: string): void {
    const client = this.#clients.get(uid);
    if (client === undefined || client.retired) return;
    client.retired = true;
    send(client.socket, { retired: true });
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let uid: string | undefined;
    const refuse = (why: string): void => {
      this.#options.log('a supervisor of Envoy is cut off', { why, pod: uid ?? 'unknown' });
      socket.destroy();
    };
    const hello = setTimeout(() => refuse('it did not say who it is'), HELLO_MS);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(hello);
      this.#sockets.delete(socket);
      if (uid === undefined || this.#clients.get(uid)?.socket !== socket) return;
      this.#clients.delete(uid);
      this.#options.onChange();
    });
    readLines(
      socket,
      MAX_LINE,
      (line) => {
        if (socket.destroyed) return;
        try {
          const state = parseSupervisorState(line);
          if (uid !== undefined && uid !== state.pod) throw new Error('it changed its pod');
          clearTimeout(hello);
          uid = state.pod;
          this.#heard(socket, state);
        } catch (error) {
          refuse(messageOf(error));
        }
      },
      () => refuse(`its line is longer than ${MAX_LINE} bytes`),
    );
    send(socket, { run: this.#options.run() });
  }

  #heard(socket: Socket, state: SupervisorState): void {
    const old = this.#clients.get(state.pod);
    const retired = old?.socket === socket && old.retired && state.state === 'draining';
    this.#clients.set(state.pod, { socket, state, retired });
    // Of two connections for one pod the newer counts: the older one's process is gone.
    if (old !== undefined && old.socket !== socket) old.socket.destroy();
    this.#options.onChange();
  }
}

function send(socket: Socket, message: unknown): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
}

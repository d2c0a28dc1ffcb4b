/** Answers the CNI binary on a unix socket: newline-JSON, root only, nothing that it sends can do harm. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../lib/errors.ts';
import { readLines } from '../lib/lines.ts';
import type { Pods } from '../pods/pods.ts';
import { CNI, CniError, type CniReply, type CniRequest, parseCniRequest } from './request.ts';

const MAX_REQUEST = 1 << 20;
/** A client that says nothing for this long is cut off. */
const IDLE_MS = 60_000;
/** More than a node has pods; further clients are turned away and may come again. */
const MAX_CLIENTS = 256;

export interface CniServerOptions {
  readonly path: string;
  /** Why pods can't be given a network right now; undefined: they can. */
  readonly unready: () => string | undefined;
  readonly pods: () => Pick<Pods, 'add' | 'delete' | 'check' | 'collect'> | undefined;
  /** Who is at the other end of a connection. */
  readonly uidOf: (socket: Socket) => number;
  readonly onError?: (request: CniRequest, error: Error) => void;
}

export function serveCni(options: CniServerOptions): Promise<Server> {
  rmSync(options.path, { force: true });
  const server = createServer((socket) => serve(socket, options));
  server.maxConnections = MAX_CLIENTS;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket must never be open to others, not for a moment.
    const mask = process.umask(0o177);
    server.listen(options.path, () => {
      chmodSync(options.path, 0o600);
      resolve(server);
    });
    process.umask(mask);
  });
}

function serve(socket: Socket, options: CniServerOptions): void {
  socket.on('error', () => socket.destroy());
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  const send = (reply: CniReply): void => {
    if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
  };
  let uid: number;
  try {
    uid = options.uidOf(socket);
  } catch {
    socket.destroy();
    return;
  }
  if (uid !== 0) {
    send({ ok: false, code: CNI.refused, message: 'only root may ask for networks' });
    socket.end();
    return;
  }
  readLines(
    socket,
    MAX_REQUEST,
    (line) => void answer(line, options).then(send),
    () => {
      send({ ok: false, code: CNI.decoding, message: `the request is larger than ${MAX_REQUEST} bytes` });
      socket.end();
    },
  );
}

async function answer(line: string, options: CniServerOptions): Promise<CniReply> {
  let request: CniRequest | undefined;
  try {
    request = parseCniRequest(line);
    return await handle(request, options);
  } catch (error) {
    if (request && error instanceof Error) options.onError?.(request, error);
    return { ok: false, code: error instanceof CniError ? error.code : CNI.refused, message: messageOf(error) };
  }
}

async function handle(request: CniRequest, options: CniServerOptions): Promise<CniReply> {
  const pods = options.pods();
  const unready = pods ? options.unready() : (options.unready() ?? 'the agent is starting');
  if (request.command === 'STATUS') {
    return unready === undefined ? { ok: true } : { ok: false, code: CNI.unavailable, message: unready };
  }
  if (pods === undefined || (request.command === 'ADD' && unready !== undefined)) {
    throw new CniError(CNI.tryAgain, unready ?? 'the agent is starting');
  }
  switch (request.command) {
    case 'ADD':
      return pods.add(request);
    case 'DEL':
      return pods.delete(request);
    case 'CHECK':
      return pods.check(request);
    case 'GC':
      return pods.collect(request.valid);
  }
}

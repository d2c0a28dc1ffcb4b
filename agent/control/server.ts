/**
 * The agent's control socket, for whoever may exec in its pod. One JSON object a line is a request, as
 * {"command":"flows","follow":true}; the reply is lines of {"ok":…}, or one {"error":"a sentence"}, then the end.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../lib/errors.ts';
import { readLines } from '../lib/lines.ts';
import type { Request } from './commands.ts';

const MAX_REQUEST = 65_536;
const MAX_CLIENTS = 128;

export type Answer = (request: Request, ended: AbortSignal) => AsyncIterable<unknown>;

export function serveControl(path: string, answer: Answer): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => serve(socket, answer));
  server.maxConnections = MAX_CLIENTS;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o177);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      resolve(server);
    });
    process.umask(mask);
  });
}

function serve(socket: Socket, answer: Answer): void {
  const ended = new AbortController();
  socket.on('error', () => socket.destroy());
  socket.on('close', () => ended.abort());
  let busy = false;
  const onLine = (line: string): void => {
    if (busy) return;
    busy = true;
    void reply(socket, line, answer, ended.signal);
  };
  readLines(socket, MAX_REQUEST, onLine, () => socket.end(lineOf({ error: 'the request is too large' })));
}

async function reply(socket: Socket, line: string, answer: Answer, ended: AbortSignal): Promise<void> {
  try {
    for await (const value of answer(parseRequest(line), ended)) {
      if (ended.aborted) return;
      if (!socket.write(lineOf({ ok: value }))) await drained(socket, ended);
    }
  } catch (error) {
    if (!ended.aborted) socket.write(lineOf({ error: messageOf(error) }));
  }
  socket.end();
}

function parseRequest(line: string): Request {
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null) throw new Error('the request is not an object');
  return { ...value };
}

/** Set and class ids are 16 hexadecimal digits everywhere. */
function lineOf(value: unknown): string {
  const text = JSON.stringify(value, (_key, field: unknown) =>
    typeof field === 'bigint' ? field.toString(16).padStart(16, '0') : field,
  );
  return `${text}\n`;
}

function drained(socket: Socket, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve);
    ended.addEventListener('abort', () => resolve(), { once: true });
  });
}

import type { Socket } from 'node:net';

const NEWLINE = 10;

/**
 * Calls back with each line of a socket, as text without its end. A line longer than `maxBytes` ends the reading and
 * calls `onTooLong`.
 */
export function readLines(
  socket: Socket,
  maxBytes: number,
  onLine: (line: string) => void,
  onTooLong: () => void,
): void {
  let rest: Buffer[] = [];
  let size = 0;
  const onData = (chunk: Buffer): void => {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const part = chunk.subarray(from, at);
      from = at + 1;
      if (size + part.length > maxBytes) {
        stop();
        return;
      }
      const line = Buffer.concat([...rest, part]).toString('utf8');
      rest = [];
      size = 0;
      onLine(line);
    }
    const tail = chunk.subarray(from);
    size += tail.length;
    if (size > maxBytes) stop();
    else if (tail.length > 0) rest.push(tail);
  };
  const stop = (): void => {
    socket.off('data', onData);
    socket.resume();
    rest = [];
    onTooLong();
  };
  socket.on('data', onData);
}

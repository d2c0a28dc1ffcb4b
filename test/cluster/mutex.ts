import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` while no other process of this machine's network namespace runs work under the same name.
 * The lock is an abstract unix socket: the kernel frees it however its holder dies.
 * @throws Error when it is not free within `timeout` milliseconds
 */
export async function exclusively<T>(name: string, timeout: number, work: () => Promise<T>): Promise<T> {
  const end = Date.now() + timeout;
  let release = await acquire(name);
  while (release === undefined) {
    if (Date.now() > end) throw new Error(`another process has been busy with ${name} for ${timeout / 1000} s`);
    await sleep(100);
    release = await acquire(name);
  }
  try {
    return await work();
  } finally {
    await release();
  }
}

function acquire(name: string): Promise<(() => Promise<void>) | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(`\0weft/${name}`, () => {
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });
}

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { releaseMemory } from 'bpf-loader-napi';

/** Time in which what rare work left behind has become garbage, ms. */
const SETTLE_MS = 500;
let timer: NodeJS.Timeout | undefined;

/**
 * Gives memory back to the system once rare work is over: V8 and the C library by themselves would keep it for long,
 * and most of the code that a start needs is never used again.
 */
export function releaseMemorySoon(): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    void releaseMemory();
  }, SETTLE_MS);
  timer.unref();
}

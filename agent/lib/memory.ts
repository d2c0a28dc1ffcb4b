import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Time in which what a large batch left behind has become garbage, ms. */
const SETTLE_MS = 500;
let timer: NodeJS.Timeout | undefined;

/** Gives memory back to the system after rare work that needed much of it; V8 by itself would keep it for long. */
export function releaseMemorySoon(): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect === 'function') collect();
  }, SETTLE_MS);
  timer.unref();
}

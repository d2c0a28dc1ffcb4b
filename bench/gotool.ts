/** The small Go programs beside the suites, kept by content. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cached, hashOf, hashTree } from '../test/cluster/cache.ts';

const run = promisify(execFile);

/** @returns path of the program; httpload's modules come from the Go module proxy, the others need the toolchain only */
export function goTool(name: 'netload' | 'mapwatch' | 'httpload'): Promise<string> {
  const source = join(import.meta.dirname, name);
  return cached('go', hashOf(name, hashTree(source)), async (out) => {
    await run('go', ['build', '-o', out, '.'], {
      cwd: source,
      env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
    });
  });
}

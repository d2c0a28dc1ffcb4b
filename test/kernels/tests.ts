/** The compiled tests of the datapath. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cacheDir } from '../cluster/cache.ts';
import { run } from '../cluster/run.ts';

const root = join(import.meta.dirname, '..', '..', 'datapath-native');

/** Builds datapath-native/tests/datapath and returns the program's path. */
export async function datapathTests(waitingFor: (what: string) => void): Promise<string> {
  const target = process.env.CARGO_TARGET_DIR ?? join(cacheDir(), 'cargo-target');
  const options = ['--locked', '--release', '--test', 'datapath', '--no-run', '--message-format=json'];
  const messages = await run(['cargo', 'test', ...options], {
    cwd: root,
    env: { CARGO_TARGET_DIR: target, HOME: homedir() },
    dieWithParent: true,
    onLine: (line) => line.startsWith('{') || waitingFor(line.trim()),
  });
  const built = messages
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { readonly executable?: string | null; readonly target?: { name: string } })
    .findLast((message) => message.target?.name === 'datapath' && typeof message.executable === 'string');
  if (!built?.executable) throw new Error('cargo built no test program named datapath');
  return built.executable;
}

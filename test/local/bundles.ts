/** One JavaScript file for each program that ships, so that an image needs no node_modules and starts quickly. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..', '..');
const dist = join(root, '.local', 'dist');

/** Entry point of each bundle. */
const entries = {
  agent: 'agent/main.ts',
  agentctl: 'agent/ctl.ts',
  operator: 'controllers/main.ts',
  operatorctl: 'controllers/ctl.ts',
  weft: 'cli/main.ts',
} as const;

export type BundleName = keyof typeof entries;

/** Where a bundle lies once it is built. */
export const bundlePath = (name: BundleName): string => join(dist, `${name}.mjs`);

/** Builds all bundles; errors name the file and line. The native addon's binary goes beside them. */
export async function buildBundles(): Promise<void> {
  await mkdir(dist, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: entries,
    outdir: dist,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minify: true,
    keepNames: true,
    sourcemap: false,
    legalComments: 'none',
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
}

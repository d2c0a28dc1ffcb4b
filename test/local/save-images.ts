/** `npm run images [-- DIRECTORY]`: saves Weft's and the demo's images as archives, for clusters elsewhere. */
import { copyFile, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { reportProgress } from '../cluster/progress.ts';
import { buildAll, checkout } from './build.ts';
import { demoArchive, demoImage, weftImages } from './images.ts';

const usage = `usage: npm run images [-- DIRECTORY]

Builds the images of Weft and of the demo and saves them as OCI archives in DIRECTORY (.local/images if not told), for
kind load image-archive or ctr images import. Prints what is in them.
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h', default: false } },
  });
  if (values.help) return void process.stdout.write(usage);
  const directory = resolve(positionals[0] ?? join(checkout, '.local', 'images'));
  const progress = reportProgress(process.stderr);
  await buildAll(progress);
  const images = await progress.step('images', ({ waitingFor }) => weftImages(waitingFor));
  const demo = await progress.step('image of the demo', ({ waitingFor }) => demoArchive(waitingFor));
  await mkdir(directory, { recursive: true });
  await copyFile(images.archive, join(directory, 'weft.tar'));
  await copyFile(demo, join(directory, 'demo.tar'));
  process.stdout.write(`${directory}/weft.tar: ${images.agent}, ${images.operator}, ${images.envoy}\n`);
  process.stdout.write(`${directory}/demo.tar: ${demoImage}\n`);
  const flags = ['agent', 'operator', 'envoy'] as const;
  process.stdout.write(
    `manifests: charts/main.ts ${flags.map((name) => `--${name}-image ${images[name]}`).join(' ')}\n`,
  );
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

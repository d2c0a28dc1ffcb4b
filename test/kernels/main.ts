/** `npm run test:kernels [VERSION…]`: the datapath's tests on other kernels than this machine's, each in a QEMU of its own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { prepareMachine } from '../cluster/prerequisites.ts';
import { reportProgress } from '../cluster/progress.ts';
import { envoyFiles } from '../local/envoy/binary.ts';
import { differences, featuresOf } from './features.ts';
import { writeInitramfs } from './initramfs.ts';
import { debianKernel } from './kernel.ts';
import { runMachine } from './machine.ts';
import { datapathTests } from './tests.ts';

/** The oldest kernel that Weft runs on, and one with tcx. */
const versions = ['6.1', '6.12'];
/** Seconds; emulated on two processors a kernel needs four to six minutes, and more when they are busy. */
const patience = 1800;
const root = join(import.meta.dirname, '..', '..');
const logs = join(root, '.local', 'test');

const progress = reportProgress(process.stderr);

async function test(version: string, tests: string, envoy: string): Promise<number> {
  const scratch = mkdtempSync(join(tmpdir(), 'weft-machine-'));
  const clear = () => rmSync(scratch, { recursive: true, force: true });
  process.once('exit', clear);
  try {
    const kernel = await progress.step(`kernel ${version}`, ({ waitingFor }) => debianKernel(version, waitingFor));
    const initramfs = join(scratch, 'initramfs');
    const tree = join(scratch, 'root');
    mkdirSync(tree);
    await writeInitramfs({ kernel, tests, envoy }, tree, initramfs);
    process.stdout.write(`kernel ${kernel.release}\n`);
    const began = Date.now();
    const { code, output } = await runMachine({
      kernel,
      initramfs,
      console: join(logs, `kernel-${version}.log`),
      env: passedOn(),
      patience,
      onLine: (line) => process.stdout.write(`${line}\n`),
    });
    process.stdout.write(`kernel ${kernel.release}: ${((Date.now() - began) / 1000).toFixed(0)} s\n`);
    const wrong = tableErrors(version, output);
    for (const sentence of wrong) process.stdout.write(`docs/kernels.md: ${sentence}\n`);
    return code || wrong.length;
  } finally {
    clear();
    process.off('exit', clear);
  }
}

function tableErrors(version: string, output: string): string[] {
  if (process.env['WEFT_FILTER'] !== undefined && featuresOf(output).size === 0) return [];
  return differences(readFileSync(join(root, 'docs', 'kernels.md'), 'utf8'), version, featuresOf(output));
}

/** WEFT_FILTER (parts of tests' names, with commas between them) and the like. */
function passedOn(): Record<string, string> {
  const known = Object.entries(process.env).filter(([name]) => /^WEFT_(FILTER|THREADS|PATIENCE)$/.test(name));
  return { WEFT_PATIENCE: '4', ...Object.fromEntries(known) };
}

async function main(): Promise<number> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const wrong = positionals.find((version) => !/^\d+\.\d+$/.test(version));
  if (wrong !== undefined) throw new Error(`"${wrong}" is no kernel's version; give such as 6.1`);
  if (process.arch !== 'x64') throw new Error(`the test machines are x86_64, and this machine is ${process.arch}`);
  mkdirSync(logs, { recursive: true });
  await prepareMachine('kernels', progress);
  const tests = await progress.step('tests of the datapath', ({ waitingFor }) => datapathTests(waitingFor));
  const envoy = await progress.step('Envoy', ({ waitingFor }) => envoyFiles(waitingFor));
  let worst = 0;
  for (const version of positionals.length > 0 ? positionals : versions) {
    worst = Math.max(worst, await test(version, tests, envoy.program));
  }
  return worst;
}

// So that the handlers of "exit" clear up; the machine dies with this process.
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.once(signal, () => process.exit(code));
}
process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});

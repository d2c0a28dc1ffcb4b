/** A machine in QEMU that runs the tests and turns itself off. */
import { readFileSync } from 'node:fs';
import { capture } from '../cluster/run.ts';
import type { Kernel } from './kernel.ts';

export interface Machine {
  readonly kernel: Kernel;
  readonly initramfs: string;
  /** The kernel's console is written there. */
  readonly console: string;
  /** WEFT_* for the tests: no spaces. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds. */
  readonly patience: number;
  readonly onLine: (line: string) => void;
}

/** Returns what the tests printed. @throws Error when the machine did not come to the end of them, with its last words */
export async function runMachine(machine: Machine): Promise<{ readonly code: number; readonly output: string }> {
  const env = Object.entries(machine.env).map(([name, value]) => `${name}=${value}`);
  const argv = ['qemu-system-x86_64', ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2']];
  argv.push('-m', '2048', '-display', 'none', '-monitor', 'none', '-no-reboot', '-nodefaults');
  argv.push('-serial', `file:${machine.console}`, '-serial', 'stdio');
  argv.push('-kernel', machine.kernel.image, '-initrd', machine.initramfs);
  argv.push('-append', ['console=ttyS0', 'panic=-1', 'mitigations=off', ...env].join(' '));
  const ran = await capture(argv, { dieWithParent: true, timeout: machine.patience * 1000, onLine: machine.onLine });
  const end = /^EXIT (\d+)$/m.exec(ran.stdout);
  if (end !== null) return { code: Number(end[1]), output: ran.stdout };
  const said = ran.stderr.trim() || lastLines(machine.console);
  throw new Error(
    `the machine with kernel ${machine.kernel.release} did not end its tests within ${machine.patience} s (status ${ran.code}):\n${said}`,
  );
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8').replaceAll('\r', '').trim().split('\n').slice(-15).join('\n');
  } catch {
    return 'it wrote nothing';
  }
}

/** Makes this node's container runtime use Weft. Done only when the agent is ready: the runtime takes it as a promise. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.ts';

export interface CniInstall {
  /** The binary as it ships. */
  readonly binary: string;
  readonly binDir: string;
  readonly confDir: string;
  readonly socket: string;
}

/** Debian 12's containerd knows no newer specification than 1.0.0. */
export function conflist(socket: string): string {
  const plugins = [{ type: 'weft-cni', socket }];
  return `${JSON.stringify({ cniVersion: '1.0.0', name: 'weft', plugins }, null, 2)}\n`;
}

/** The binary first: the configuration names it. Files that are right already are left alone. */
export function installCni({ binary, binDir, confDir, socket }: CniInstall): void {
  const content = readFileSync(binary);
  writeIfOther(join(binDir, 'weft-cni'), content, 0o755);
  // containerd runs a plugin of this name for every pod; on a node that has none, ours does it.
  const loopback = join(binDir, 'loopback');
  if (!existsSync(loopback)) writeFileAtomic(loopback, content, 0o755);
  writeIfOther(join(confDir, '05-weft.conflist'), Buffer.from(conflist(socket)), 0o600);
}

function writeIfOther(path: string, content: Buffer, mode: number): void {
  if (existsSync(path) && readFileSync(path).equals(content)) return;
  writeFileAtomic(path, content, mode);
}

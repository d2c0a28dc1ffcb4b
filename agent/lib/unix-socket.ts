import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';

/** Group of Envoy's processes, and of what stands beside it in its pod. */
export const ENVOY_GROUP = 1337;

/** A directory for sockets that a group may use; others do not even get in. */
export function makeSocketDirectory(path: string, group: number): void {
  mkdirSync(path, { recursive: true, mode: 0o750 });
  own(path, group);
  chmodSync(path, 0o750);
}

/** Takes away what an earlier life left. */
export function removeStaleSocket(path: string): void {
  rmSync(path, { force: true });
}

/** Lets the group connect to a socket that is bound. */
export function shareSocket(path: string, group: number): void {
  own(path, group);
  chmodSync(path, 0o660);
}

function own(path: string, group: number): void {
  chownSync(path, process.getuid?.() ?? 0, group);
}

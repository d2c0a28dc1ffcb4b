import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes a file so that whoever reads it finds the old content or the new, never half of one. */
export function writeFileAtomic(path: string, content: string | Uint8Array, mode = 0o600): void {
  const scratch = `${path}.new-${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(scratch, content, { mode, flush: true });
    renameSync(scratch, path);
  } catch (error) {
    rmSync(scratch, { force: true });
    throw error;
  }
}

import { readFileSync } from 'node:fs';

/** Resident memory of a process in MiB; pss counts a page that n processes share as 1/n. */
export interface Memory {
  readonly rss: number;
  readonly pss: number;
}

/** @param text of /proc/PID/smaps_rollup, see proc(5); sizes there are in KiB */
export function parseSmaps(text: string): Memory {
  const of = (field: string): number => {
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kib === undefined) throw new Error(`smaps_rollup has no ${field}`);
    return Number(kib) / 1024;
  };
  return { rss: of('Rss'), pss: of('Pss') };
}

export const memoryOf = (pid: number): Memory => parseSmaps(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));

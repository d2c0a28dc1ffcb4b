/** `node full-disk.ts DIR`: a journal on a small file system that fills up and is freed again; prints what it saw. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { Journal } from '../state/journal.ts';
import { ResourceStore, type Upsert } from '../state/store.ts';

const dir = process.argv[2] ?? '';
const path = join(dir, 'state.bin');
const store = new ResourceStore();
const batch = (name: string, bytes: number): Upsert[] => [{ name, version: 'v', bytes: new Uint8Array(bytes).fill(7) }];
const { journal } = Journal.open(path, store);

/** @returns why the batch could not be kept */
function keep(upserts: readonly Upsert[]): string | undefined {
  try {
    journal.append(upserts, [], store);
  } catch (error) {
    return messageOf(error);
  }
  for (const upsert of upserts) store.set(upsert);
  return undefined;
}

keep(batch('service/a/first', 1_000));
const filler = join(dir, 'filler');
try {
  writeFileSync(filler, new Uint8Array(1 << 20));
} catch {
  // That is the point: nothing is left.
}
const refused = keep(batch('service/a/large', 50_000));
rmSync(filler);
const kept = keep(batch('service/a/last', 1_000));
journal.close();
const again = new ResourceStore();
Journal.open(path, again).journal.close();
process.stdout.write(JSON.stringify({ refused, kept: kept ?? null, names: again.names('service/') }));

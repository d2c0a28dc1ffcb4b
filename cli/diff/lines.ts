/** Texts as unified differences, as `diff -u` writes them. */
import { diff } from 'node:util';

const CONTEXT = 3;

export interface Side {
  readonly name: string;
  /** undefined: it is not there. */
  readonly text: string | undefined;
}

/** undefined: they are equal. */
export function unifiedDiff(before: Side, after: Side): string | undefined {
  const [old, now] = [linesOf(before.text), linesOf(after.text)];
  const changes = removalsFirst(diff(now, old).map(([sign, line]) => ({ sign, line })));
  const hunks = hunksOf(changes);
  if (hunks.length === 0) return undefined;
  const head = [`--- ${nameOf(before)}`, `+++ ${nameOf(after)}`];
  return [...head, ...hunks.flatMap((hunk) => hunkText(changes, hunk))].join('\n');
}

const nameOf = ({ name, text }: Side): string => (text === undefined ? '/dev/null' : name);
const linesOf = (text: string | undefined): string[] => (text === undefined ? [] : text.split('\n'));

interface Change {
  /** 1 added, -1 removed, 0 in both. */
  readonly sign: number;
  readonly line: string;
}

/** Of what changes in one place. */
function removalsFirst(changes: readonly Change[]): Change[] {
  const ordered: Change[] = [];
  for (let index = 0; index < changes.length; ) {
    const end = changes.findIndex(({ sign }, at) => at >= index && sign === 0);
    const place = changes.slice(index, end < 0 ? undefined : end);
    ordered.push(...place.filter(({ sign }) => sign < 0), ...place.filter(({ sign }) => sign > 0));
    index += place.length;
    for (; changes[index]?.sign === 0; index++) ordered.push(...changes.slice(index, index + 1));
  }
  return ordered;
}

interface Hunk {
  readonly first: number;
  /** Excluded. */
  end: number;
}

function hunksOf(changes: readonly Change[]): Hunk[] {
  const hunks: Hunk[] = [];
  for (const [index, { sign }] of changes.entries()) {
    if (sign === 0) continue;
    const [first, end] = [Math.max(0, index - CONTEXT), Math.min(changes.length, index + CONTEXT + 1)];
    const last = hunks.at(-1);
    if (last !== undefined && first <= last.end) last.end = end;
    else hunks.push({ first, end });
  }
  return hunks;
}

const MARKS: Readonly<Record<number, string>> = { 1: '+', [-1]: '-', 0: ' ' };

function hunkText(changes: readonly Change[], { first, end }: Hunk): string[] {
  const range = (absent: number): string => {
    const count = (part: readonly Change[]) => part.filter(({ sign }) => sign !== absent).length;
    const [skipped, shown] = [count(changes.slice(0, first)), count(changes.slice(first, end))];
    return `${shown === 0 ? skipped : skipped + 1},${shown}`;
  };
  const lines = changes.slice(first, end).map(({ sign, line }) => `${MARKS[sign]}${line}`);
  return [`@@ -${range(1)} +${range(-1)} @@`, ...lines];
}

/** Regular expressions for Envoy: what its RE2 refuses, or what costs too much, is refused before it gets there. */
import { RE2JS } from 're2js';
import { type Problems, quote } from './parse.ts';

/** Characters of an expression, and instructions that it compiles to. */
const bounds = { length: 1024, program: 2048 } as const;

/** '' means any value, or that there is a problem. */
export function expression(value: unknown, field: string, problems: Problems): string {
  if (value === undefined) return '';
  if (typeof value !== 'string') {
    problems.error(field, `A regular expression is a string, but this is ${quote(value)}.`);
    return '';
  }
  const wrong = whatIsWrong(value, problems);
  if (wrong === undefined) return value;
  problems.error(field, wrong);
  return '';
}

function whatIsWrong(text: string, { work }: Problems): string | undefined {
  if (text.length > bounds.length) {
    return `It has ${text.length} characters, but at most ${bounds.length} are supported here.`;
  }
  // Envoy matches bytes, each a character of Latin 1, so that others mean something else to it, or nothing.
  if (!/^[ -~]*$/.test(text) || /\\x\{0*[0-9a-f]{3,}\}|\\[4-7][0-7]{2}/i.test(text)) {
    return `${quote(text)} contains other characters than the printable ones of ASCII; requests carry those as %C3%A9 or xn--.`;
  }
  // Envoy's tables of Unicode are not those of re2js; it would refuse all routes for one class that it does not know.
  if (/\\p/i.test(text)) {
    return `${quote(text)} has a class of Unicode; requests carry ASCII only, so write the characters, as [a-zA-Z].`;
  }
  // Before it is compiled: a few characters can stand for a second of work.
  const size = expandedSize(text);
  if (size > bounds.program) {
    return `${quote(text)} expands to about ${size} instructions, but at most ${bounds.program} may be used.`;
  }
  work.instructions -= size;
  if (work.instructions < 0) return 'All regular expressions of the object together are too large; split it.';
  try {
    RE2JS.compile(text);
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : String(error);
    return `${quote(text)} is not a regular expression of RE2: ${reason.slice(0, 200)}.`;
  }
}

const TOKEN =
  /\\Q(?<literal>(?:(?!\\E).)*)(?:\\E)?|\\x\{[^}]*\}|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|(?<flags>\(\?[a-zA-Z-]+\))|(?<open>\()(?:\?(?:P?<\w+>|[a-zA-Z-]*:?))?|(?<close>\))|\{(?<least>\d+)(?:,(?<most>\d*))?\}|./gs;

/** About how many instructions it compiles to, repetitions written out. */
export function expandedSize(text: string): number {
  const outer: { done: number }[] = [];
  let done = 0;
  let last = 0;
  for (const { groups = {} } of text.matchAll(TOKEN)) {
    const { literal, flags, open, close, least, most } = groups;
    if (least !== undefined) {
      last *= Math.max(1, Number(least), Number(most ?? 0));
      continue;
    }
    if (flags !== undefined) continue;
    done += last;
    last = 1;
    if (open !== undefined) {
      outer.push({ done });
      done = 2;
      last = 0;
    } else if (close !== undefined) {
      last = done;
      done = outer.pop()?.done ?? 0;
    } else if (literal !== undefined) {
      last = literal.length;
    }
  }
  return outer.reduce((sum, group) => sum + group.done, done + last);
}

/** What the command line asks for. */
import { parseArgs } from 'node:util';

export interface SuiteNames {
  readonly what: string;
  readonly cases: readonly string[];
}

export type BenchArgs =
  | { readonly tag: 'help' }
  | { readonly tag: 'wrong'; readonly message: string }
  | { readonly tag: 'run'; readonly suite: string; readonly cases: readonly string[]; readonly json?: string };

type Suites = Readonly<Record<string, SuiteNames>>;

export function usage(suites: Suites): string {
  const lines = Object.entries(suites).map(
    ([name, { what, cases }]) => `  ${name.padEnd(10)} ${what}\n${' '.repeat(13)}${cases.join(', ')}`,
  );
  return `usage: npm run bench -- SUITE [CASE] [--json FILE]

Measures Weft beside a baseline, and prints a table; --json also writes it to a file, as a list. Needs root.
Without CASE all cases of the suite are measured, one after another.

${lines.join('\n')}
`;
}

export function parseBenchArgs(args: readonly string[], suites: Suites): BenchArgs {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help === true) return { tag: 'help' };
    const [suite, only, ...more] = positionals;
    const json = values.json === undefined ? {} : { json: values.json };
    if (suite === undefined) throw new Error(`name a suite: ${Object.keys(suites).join(', ')}`);
    const known = Object.hasOwn(suites, suite) ? suites[suite] : undefined;
    if (known === undefined) {
      throw new Error(`there is no suite ${suite}; the suites are ${Object.keys(suites).join(', ')}`);
    }
    if (more.length > 0) throw new Error(`one case at a time: ${more.join(' ')} is too much`);
    if (values.json === '') throw new Error('--json needs the name of a file');
    if (only === undefined) return { tag: 'run', suite, cases: known.cases, ...json };
    if (!known.cases.includes(only)) {
      throw new Error(`suite ${suite} has no case ${only}; its cases are ${known.cases.join(', ')}`);
    }
    return { tag: 'run', suite, cases: [only], ...json };
  } catch (error) {
    return { tag: 'wrong', message: error instanceof Error ? error.message : String(error) };
  }
}

/** `npm run bench -- SUITE [CASE] [--json FILE]`: measures Weft beside its baseline and prints a table. */
import { writeFile } from 'node:fs/promises';
import { parseBenchArgs, usage } from './args.ts';
import { isEnding, undoAll, undoOnSignals } from './cleanup.ts';
import { type Result, table } from './result.ts';
import { suites } from './suites.ts';

async function measure(suiteName: string, cases: readonly string[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const one of cases) {
    process.stderr.write(`${suiteName} ${one} …\n`);
    results.push(...((await suites[suiteName]?.run(one)) ?? []));
  }
  return results;
}

const parsed = parseBenchArgs(process.argv.slice(2), suites);
if (parsed.tag === 'help') process.stdout.write(usage(suites));
else if (parsed.tag === 'wrong') {
  process.stderr.write(`${parsed.message}\n\n${usage(suites)}`);
  process.exitCode = 2;
} else if (process.getuid?.() !== 0) {
  process.stderr.write('the benchmarks make network namespaces and load eBPF programs: run them as root\n');
  process.exitCode = 1;
} else {
  undoOnSignals();
  try {
    // Before anything is measured: a path that can't be written to would lose it all.
    if (parsed.json !== undefined) await writeFile(parsed.json, '[]\n');
    const results = await measure(parsed.suite, parsed.cases);
    process.stdout.write(`${table(results)}\n`);
    if (parsed.json !== undefined) await writeFile(parsed.json, `${JSON.stringify(results, null, 2)}\n`);
  } catch (error) {
    if (!isEnding()) process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  } finally {
    await undoAll();
  }
}

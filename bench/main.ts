/** `npm run bench -- SUITE [CASE] [--json FILE]`: measures Weft beside its baseline and prints a table. */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Result, table } from './result.ts';
import { suites } from './suites.ts';

const usage = `usage: npm run bench -- SUITE [CASE] [--json FILE]

${Object.entries(suites)
  .map(([name, suite]) => `  ${name.padEnd(10)} ${suite.what}\n${suite.cases.map((one) => `    ${one}`).join('\n')}`)
  .join('\n')}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
});
const [name, only] = positionals;
if (values.help === true || name === undefined) {
  process.stdout.write(usage);
  process.exit(values.help === true ? 0 : 2);
}
const suite = suites[name];
if (suite === undefined || (only !== undefined && !suite.cases.includes(only))) {
  process.stderr.write(`there is no suite ${positionals.join(' ')}\n\n${usage}`);
  process.exit(2);
}
const results: Result[] = [];
for (const one of suite.cases.filter((candidate) => only === undefined || candidate === only)) {
  process.stderr.write(`${name} ${one} …\n`);
  results.push(...(await suite.run(one)));
}
process.stdout.write(`${table(results)}\n`);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);

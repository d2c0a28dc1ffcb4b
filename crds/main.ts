import { stringify } from 'yaml';
import { kinds, weftCrds } from './index.ts';
import { reference } from './reference.ts';

/** `node crds/main.ts yaml` prints the CustomResourceDefinitions, `node crds/main.ts reference` the reference. */
const outputs: Readonly<Record<string, () => string>> = {
  yaml: () => weftCrds.map((crd) => stringify(crd)).join('---\n'),
  reference: () => reference(kinds),
};

const [wanted = ''] = process.argv.slice(2);
const output = outputs[wanted];
if (output === undefined) {
  console.error(`usage: node crds/main.ts ${Object.keys(outputs).join('|')}`);
  process.exitCode = 2;
} else {
  process.stdout.write(output());
}

/** `node charts/main.ts --help`: prints the manifests of an install. */
import { Yaml } from 'cdk8s';
import { installObjects } from './index.ts';
import { parseInstall } from './options.ts';

const parsed = parseInstall(process.argv.slice(2));
switch (parsed.tag) {
  case 'help':
    process.stdout.write(parsed.text);
    break;
  case 'wrong':
    process.stderr.write(`${parsed.message}\n`);
    process.exitCode = 2;
    break;
  case 'print':
    process.stdout.write(Yaml.stringify(...installObjects(parsed.values)));
    break;
}

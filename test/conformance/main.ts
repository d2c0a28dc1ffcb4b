/** `npm run conformance -- SUITE`: other people's tests of what Weft says it does. */
import { parseArgs } from 'node:util';
import { takeDown } from '../cluster/down.ts';
import { reportProgress } from '../cluster/progress.ts';
import { directory, runGatewayApi } from './gateway-api/run.ts';

const usage = `usage: npm run conformance -- gateway-api [--run TEST] [--down]

Runs the conformance suite of the Gateway API, profiles MESH-HTTP and MESH-GRPC, on a local cluster of its own with
Weft, and writes the report to docs/conformance/gateway-api.yaml. The cluster stays for the next run.

  --run TEST   only this test, as MeshHTTPRouteMatching; the report in docs stays as it is
  --down       remove the cluster, and run nothing
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      run: { type: 'string' },
      down: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  if (positionals.length !== 1 || positionals[0] !== 'gateway-api') {
    const named = positionals.length === 0 ? 'no suite is named' : `there is no suite ${positionals.join(' ')}`;
    throw new Error(`${named}; there is gateway-api\n\n${usage}`);
  }
  if (values.down) {
    const was = await reportProgress(process.stderr).step('remove the cluster', () => takeDown(directory));
    if (!was) process.stdout.write('nothing is up\n');
  } else if (!(await runGatewayApi(values.run))) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

/** The `weft` command, also `kubectl weft`. Exit codes: 0 all is well, 1 something is not enforced, 2 it failed. */
import { Command, Option } from 'commander';

const program = new Command('weft').description('See what Weft enforces, and why').version('0.1.0');
// 1 means that something is not enforced; commander ends with it for wrong usage.
program.exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : 2));
program.addHelpText('after', '\nExit codes: 0 all is well, 1 something is not enforced, 2 it failed.');
program.option('--kubeconfig <file>', 'which cluster; as kubectl if not told');
const config = async () => (await import('./exec.ts')).loadConfig(program.opts<{ kubeconfig?: string }>().kubeconfig);
const format = () => new Option('-o, --output <format>', 'table or json').choices(['table', 'json']).default('table');

program
  .command('status')
  .description('nodes, enforced generations, problems, policies that others make ineffective')
  .addOption(format())
  .action(async ({ output }: { output: string }) => {
    const { isWell, readStatus, statusText } = await import('./status.ts');
    const snapshot = await readStatus(await config());
    process.stdout.write(`${output === 'json' ? JSON.stringify(snapshot) : statusText(snapshot)}\n`);
    process.exitCode = isWell(snapshot) ? 0 : 1;
  });

interface FlowFlags {
  readonly output: string;
  readonly since: string;
  readonly follow?: boolean;
  readonly pod?: string;
  readonly namespace?: string;
  readonly verdict?: string;
  readonly rule?: string;
}

/** Milliseconds of a duration as 30s, 5m or 2h. */
function duration(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text);
  if (match === null) throw new Error(`--since is a duration as 30s, 5m or 2h, not ${text}`);
  return Number(match[1]) * { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as 's' | 'm' | 'h'];
}

program
  .command('flows')
  .description('connections of all nodes, each with what decided')
  .addOption(format())
  .option('--since <duration>', 'how far back', '5m')
  .option('-f, --follow', 'go on until interrupted')
  .option('--pod <name>', 'either end, as shop/frontend-…')
  .option('-n, --namespace <name>', 'either end')
  .addOption(new Option('--verdict <verdict>', 'forwarded or dropped').choices(['forwarded', 'dropped']))
  .option('--rule <policy>', 'decided by a policy of this name')
  .action(async (flags: FlowFlags) => {
    const { flowLine, flowRow, flowTable, readFlows } = await import('./flows.ts');
    const filters = (['pod', 'namespace', 'verdict', 'rule'] as const).flatMap((name) => {
      const value = flags[name];
      return value === undefined ? [] : [`--${name}=${value}`];
    });
    const options = { since: Date.now() - duration(flags.since), follow: flags.follow === true, filters };
    const shown: Parameters<typeof flowRow>[0][] = [];
    await readFlows(await config(), options, (flow) => {
      if (flags.output === 'json') process.stdout.write(`${JSON.stringify(flowLine(flow))}\n`);
      else if (options.follow) process.stdout.write(`${flowTable([flow]).split('\n')[1] ?? ''}\n`);
      else shown.push(flow);
    });
    if (flags.output === 'table' && !options.follow) process.stdout.write(`${flowTable(shown)}\n`);
  });

await program.parseAsync().catch(async (error: unknown) => {
  const { plain } = await import('./text.ts');
  process.stderr.write(`weft: ${plain(error instanceof Error ? error.message : String(error))}\n`);
  process.exitCode = 2;
});

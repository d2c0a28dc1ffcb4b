/** The tree of commands: names, flags and help; what they do comes from elsewhere. */
import { Argument, Command, Option } from 'commander';
import { shells } from './completion/scripts.ts';
import { duration, integer, statusRange } from './flags.ts';
import { flowTypes, flowVerdicts } from './flows/words.ts';
import { VERSION } from './version.ts';

const EXIT_CODES = `
Exit codes: 0 all is well, 1 it is not (something is not enforced, or denied), 2 the command failed or was not
understood.`;

const EXPLAIN_NOTES = `
A rule sees a request's path as Envoy normalises it: escapes of letters, digits and -._~ are undone, \\ is /, dot segments
are resolved, several slashes are one; the query stays as it is. The path given here is treated in the same way.
Without METHOD and PATH, rules for requests are listed.

Exit codes: 0 all of it is allowed, 1 some of it is denied or depends on the request, 2 the command failed.`;

const RENDER_NOTES = `
The files' objects come first, as they are; then Envoy's listeners, routes and clusters in their own terms
(https://www.envoyproxy.io/docs), with annotations that say for which pods, connections and rules. Where the files have
no pods for a policy (Pods or workloads), it is shown for pods as it selects them. What is wrong is on standard error.

Exit codes: 0 all is understood, 1 there are errors in the files, 2 the command failed.`;

const DIFF_NOTES = `
The API server is asked what it would make of each object (a dry run; nothing is changed), and that is compared with what
is there. Then the policies of the whole cluster are compiled with the objects and without: which pods a policy selects,
who may talk to whom, which listeners and routes of Envoy change. That needs the right to list all that Weft reads.

Exit codes: 0 nothing would change, 1 something would, 2 the command failed or an object is refused.`;

/** Runs a command with its operands and flags. */
export type Action = (name: string, operands: readonly string[], flags: object) => Promise<void>;

export function weftProgram(name: string, run: Action): Command {
  const program = new Command(name)
    .description('See what Weft enforces, and why')
    .option('--kubeconfig <file>', 'which cluster; as kubectl if not told')
    .option('--context <name>', 'which context of the kubeconfig')
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError(`(${name} --help says what there is)`);
  const format = (...choices: readonly string[]) =>
    new Option('-o, --output <format>', choices.join(', ')).choices(choices).default('table');
  const add = (parent: Command, word: string, description: string, examples: readonly string[]): Command => {
    const command = parent.command(word).description(description);
    const path = [...(parent === program ? [] : [parent.name()]), word].join(' ');
    if (examples.length > 0) {
      command.addHelpText('after', ['\nExamples:', ...examples.map((one) => `  ${name} ${one}`)].join('\n'));
    }
    return command.action(async () => run(path, command.args, command.optsWithGlobals()));
  };

  add(program, 'status', 'nodes, enforced generations, problems, policies that others make ineffective', [
    'status',
    'status -o wide     # and which nodes are missing',
    'status -o json',
  ]).addOption(format('table', 'wide', 'json', 'yaml'));

  add(program, 'flows', 'connections and requests of all nodes, each with what decided', [
    'flows --verdict dropped',
    'flows -f --pod shop/frontend',
    'flows --since 1h --rule api-from-frontend -o json',
    'flows --type request --status 403 --path /api/',
  ])
    .addOption(format('table', 'wide', 'json', 'yaml'))
    .addOption(new Option('--since <duration>', 'how far back').default(300_000, '5m').argParser(duration))
    .addOption(
      new Option('--limit <number>', 'only the newest so many').argParser(integer(1, 1_000_000)).conflicts('follow'),
    )
    .option('-f, --follow', 'go on until interrupted')
    .option('--pod <name>', "either end: a pod's name or its beginning, as shop/frontend")
    .option('-n, --namespace <name>', 'either end')
    .addOption(
      new Option(
        '--verdict <verdict>',
        'on a connection: forwarded, dropped, revoked; on a request: allowed, denied, failed',
      ).choices(flowVerdicts),
    )
    .addOption(
      new Option('--type <type>', 'only connections that began, were dropped …, or requests').choices(flowTypes),
    )
    .option('--rule <policy>', 'decided by a policy whose name has this in it')
    .addOption(new Option('--protocol <name>', 'protocol').choices(['tcp', 'udp', 'sctp', 'icmp', 'icmpv6']))
    .addOption(new Option('--port <number>', 'of the destination or its Service').argParser(integer(1, 65_535)))
    .addOption(new Option('--status <status>', 'of requests: 403, 4xx or 500-504').argParser(statusRange))
    .option('--method <method>', 'of requests', (text) => text.toUpperCase())
    .option('--path <prefix>', 'of requests: what the path begins with; queries are not recorded');

  const policy = program.command('policy').description('what policies mean');
  add(policy, 'explain', 'whether SRC may talk to DST, or send it a request, and what decides', [
    'policy explain shop/frontend-7d9f-x2v shop/api-v1-6b8f-w65:80',
    'policy explain deploy/shop/stranger svc/shop/api:http',
    'policy explain deploy/shop/frontend svc/shop/api:http GET /api/v1/users',
    'policy explain 203.0.113.1 shop/api-v1-6b8f-w65:7001/udp',
    'policy explain shop/frontend-7d9f-x2v node/node2 --protocol icmp',
  ])
    .argument('<src>', 'address, [namespace/]pod, deploy/namespace/name or node/name')
    .argument('<dst:port>', 'the same or svc/namespace/name; the port by number or name, perhaps with /udp')
    .argument('[method]', 'of a request, as GET')
    .argument('[path]', 'of the request, with its query')
    .addOption(format('table', 'json', 'yaml'))
    .option('-n, --namespace <name>', "of names without one; the context's if not told")
    .addOption(new Option('--protocol <name>', 'tcp if not told').choices(['tcp', 'udp', 'sctp', 'icmp']))
    .option('--host <name>', 'of the request: its Host header or :authority')
    .option(
      '--header <header>',
      "of the request, as 'X-Version: 2'; may be given several times",
      (text, all: string[] = []) => [...all, text],
    )
    .addHelpText('after', EXPLAIN_NOTES);

  add(program, 'wait', 'until the nodes concerned enforce the current generation', [
    'wait cnp/api-from-frontend -n shop',
    'wait ccnp/cluster-only netpol/default-deny --timeout 2m',
  ])
    .argument('<kind/name...>', 'NetworkPolicy, Cilium policy or MeshService')
    .option('-n, --namespace <name>', "of the objects; the context's if not told")
    .addOption(new Option('--timeout <duration>', 'how long at most').default(60_000, '60s').argParser(duration))
    .addHelpText('after', '\nExit codes: 0 enforced, 1 not in time or refused, 2 the command failed.');

  add(program, 'render', 'what the objects in files become, Envoy included; asks no cluster', [
    'render policy.yaml',
    'render policy.yaml shop.yaml      # for the pods of the workloads in there',
    'kubectl get cnp,pods -A -o yaml | weft render - --node node2',
  ])
    .argument('<file...>', 'YAML or JSON with Kubernetes objects; - is standard input')
    .addOption(format('yaml', 'json').default('yaml'))
    .option('-n, --namespace <name>', 'of objects without one', 'default')
    .option('--node <name>', 'only what the Envoy of this node is told')
    .addHelpText('after', RENDER_NOTES);

  add(program, 'diff', 'what applying the files would change, in the cluster and on its nodes', [
    'diff policy.yaml',
    'diff -n shop policies/*.yaml',
  ])
    .argument('<file...>', 'YAML or JSON with Kubernetes objects; - is standard input')
    .option('-n, --namespace <name>', "of objects without one; the context's if not told")
    .addHelpText('after', DIFF_NOTES);

  add(program, 'version', 'versions of this program, the operator and the agents', ['version', 'version --client'])
    .addOption(format('table', 'json', 'yaml'))
    .option('--client', 'ask no cluster');

  add(program, 'completion', 'a script that completes commands in a shell', [
    'completion bash        # source <(weft completion bash)',
    'completion fish        # weft completion fish | source',
  ]).addArgument(new Argument('<shell>', 'which shell').choices(shells));

  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .action(async (words: string[]) => run('__complete', words, {}));
  return program.version(VERSION, '-V, --version');
}

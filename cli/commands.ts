/** What the commands do. Each returns its exit code: 0 all is well, 1 it is not, 2 it failed. */
import type { Command } from 'commander';
import { z } from 'zod';
import type { ClusterAccess } from './cluster.ts';
import { flowTypes, flowVerdicts } from './flows/words.ts';
import { type Format, toJson, toYaml } from './output.ts';
import { painter, plain } from './text.ts';

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const note = (text: string): void => void process.stderr.write(`weft: ${plain(text)}\n`);
const paint = painter(process.stdout, process.env);

function show(format: Format, value: unknown, table: () => string): void {
  if (format === 'json') print(toJson(value));
  else if (format === 'yaml') print(toYaml(value));
  else print(table());
}

const Output = z.enum(['table', 'wide', 'json', 'yaml']);
const ClusterFlags = z.object({ kubeconfig: z.string().optional(), context: z.string().optional() });

/** Runs with a cluster; errors become sentences and exit code 2. */
async function withCluster(flags: object, work: (cluster: ClusterAccess) => Promise<number>): Promise<number> {
  const { openCluster } = await import('./cluster.ts');
  const { sentenceOf } = await import('./errors.ts');
  let cluster: ClusterAccess | undefined;
  try {
    const { kubeconfig, context } = ClusterFlags.parse(flags);
    cluster = openCluster(
      { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) },
      process.env,
    );
    return await work(cluster);
  } catch (error) {
    note(sentenceOf(error, cluster?.config.getCurrentCluster()?.server));
    return 2;
  } finally {
    cluster?.close();
  }
}

type Run = (program: Command, operands: readonly string[], flags: object) => Promise<number>;

const status: Run = (_program, _operands, flags) =>
  withCluster(flags, async (cluster) => {
    const { output } = z.object({ output: Output }).parse(flags);
    const [{ readSnapshot }, { isWell, statusText }] = [
      await import('./status/snapshot.ts'),
      await import('./status/text.ts'),
    ];
    const snapshot = await readSnapshot(cluster.config, cluster.client);
    show(output, snapshot, () => statusText(snapshot, { wide: output === 'wide', paint }));
    return isWell(snapshot) ? 0 : 1;
  });

const FlowFlags = z.object({
  output: Output,
  since: z.number(),
  limit: z.number().optional(),
  follow: z.boolean().optional(),
  pod: z.string().optional(),
  namespace: z.string().optional(),
  verdict: z.enum(flowVerdicts).optional(),
  type: z.enum(flowTypes).optional(),
  rule: z.string().optional(),
  protocol: z.string().optional(),
  port: z.number().optional(),
  status: z.string().optional(),
  method: z.string().optional(),
  path: z.string().optional(),
});

const flows: Run = (_program, _operands, flags) =>
  withCluster(flags, async (cluster) => {
    const { runFlows } = await import('./flows/run.ts');
    return runFlows(cluster, FlowFlags.parse(flags), { print, note, paint });
  });

const ExplainFlags = z.object({
  output: Output,
  namespace: z.string().optional(),
  protocol: z.string().optional(),
  host: z.string().optional(),
  header: z.array(z.string()).optional(),
});

const explain: Run = (_program, [source = '', destination = '', method, path], flags) =>
  withCluster(flags, async (cluster) => {
    const { output, namespace, protocol, host, header } = ExplainFlags.parse(flags);
    const { parseRequest } = await import('./explain/http.ts');
    const { explainPolicy } = await import('./explain/run.ts');
    const { explainText } = await import('./explain/text.ts');
    const options = {
      namespace: namespace ?? cluster.namespace,
      note,
      request: parseRequest(method, path, { host, header }),
      ...(protocol === undefined ? {} : { protocol }),
    };
    const pairs = await explainPolicy(cluster, source, destination, options);
    show(output, pairs, () => explainText(pairs, paint));
    return pairs.every(({ verdict }) => verdict === 'allowed') ? 0 : 1;
  });

const wait: Run = (_program, operands, flags) =>
  withCluster(flags, async (cluster) => {
    const { timeout, namespace } = z.object({ timeout: z.number(), namespace: z.string().optional() }).parse(flags);
    const { parseWaitTarget } = await import('./wait/target.ts');
    const { waitEnforced } = await import('./wait/run.ts');
    const targets = operands.map((text) => parseWaitTarget(text, namespace ?? cluster.namespace));
    const live = process.stderr.isTTY === true;
    const clear = (): void => void (live && process.stderr.write('\r\u001b[K'));
    const last = await waitEnforced(cluster, targets, timeout, (progress) => {
      const waiting = progress.filter(({ state }) => state === 'waiting').map(({ sentence }) => sentence);
      clear();
      if (live) process.stderr.write(plain(waiting.join('; ')).slice(0, (process.stderr.columns ?? 80) - 1));
    });
    clear();
    for (const { state, sentence } of last) {
      if (state === 'enforced') print(plain(sentence));
      else note(state === 'waiting' ? `not within ${timeout / 1000} s: ${sentence}` : sentence);
    }
    return last.every(({ state }) => state === 'enforced') ? 0 : 1;
  });

const render: Run = async (_program, operands, flags) => {
  const { sentenceOf } = await import('./errors.ts');
  const { output, namespace, node } = z
    .object({ output: Output, namespace: z.string(), node: z.string().optional() })
    .parse(flags);
  try {
    const { readFiles } = await import('./files/read.ts');
    const { problemText } = await import('./files/objects.ts');
    const { render: rendered } = await import('./render/render.ts');
    const { objects, problems } = rendered(readFiles(operands), { namespace, node });
    for (const problem of problems) process.stderr.write(`${plain(problemText(problem))}\n`);
    if (output === 'json') print(toJson({ apiVersion: 'v1', kind: 'List', items: objects }));
    else print(objects.map(toYaml).join('\n---\n'));
    return problems.some(({ severity }) => severity === 'error') ? 1 : 0;
  } catch (error) {
    note(sentenceOf(error));
    return 2;
  }
};

const diff: Run = (_program, operands, flags) =>
  withCluster(flags, async (cluster) => {
    const { namespace } = z.object({ namespace: z.string().optional() }).parse(flags);
    const { readFiles } = await import('./files/read.ts');
    const { runDiff } = await import('./diff/run.ts');
    const complain = (text: string): void => void process.stderr.write(`${plain(text)}\n`);
    const out = { print, note, complain, paint };
    return runDiff(cluster.client, readFiles(operands), namespace ?? cluster.namespace, out);
  });

const version: Run = async (_program, _operands, flags) => {
  const { output, client } = z.object({ output: Output, client: z.boolean().optional() }).parse(flags);
  const { VERSION, versionText, versionsOf } = await import('./version.ts');
  if (client === true) {
    show(output, { client: VERSION }, () => versionText({ client: VERSION }));
    return 0;
  }
  return withCluster(flags, async (cluster) => {
    const { readSnapshot } = await import('./status/snapshot.ts');
    const versions = versionsOf(await readSnapshot(cluster.config, cluster.client));
    show(output, versions, () => versionText(versions));
    return 0;
  });
};

const completion: Run = async (_program, [wanted]) => {
  const { completionScript, shells } = await import('./completion/scripts.ts');
  const shell = shells.find((one) => one === wanted);
  if (shell === undefined) return 2;
  process.stdout.write(completionScript(shell, 'weft'));
  return 0;
};

const completeWords: Run = async (program, words) => {
  const { complete } = await import('./completion/complete.ts');
  for (const word of complete(program, words)) print(word);
  return 0;
};

const COMMANDS: Readonly<Record<string, Run>> = {
  status,
  flows,
  'policy explain': explain,
  wait,
  render,
  diff,
  version,
  completion,
  __complete: completeWords,
};

export async function runCommand(
  program: Command,
  name: string,
  operands: readonly string[],
  flags: object,
): Promise<number> {
  const run = COMMANDS[name];
  if (run === undefined) throw new Error(`the command ${name} has no action`);
  return run(program, operands, flags);
}

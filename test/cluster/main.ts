/** The cluster without Weft, for people and tests: `node test/cluster/main.ts up|down|status|kubectl|node|client …`. */
import { spawn } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { type Cluster, openCluster } from './cluster.ts';
import { corednsObjects } from './coredns.ts';
import { takeDown } from './down.ts';
import { goProgram } from './gobuild.ts';
import { inNetworkOf } from './network.ts';
import { inNode } from './node.ts';
import { prepareMachine } from './prerequisites.ts';
import { reportProgress } from './progress.ts';
import { startCluster } from './start.ts';

const checkout = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const program = new Command('cluster').description('A real Kubernetes on this machine, without a CNI');
program.enablePositionalOptions();
program.option('--dir <directory>', 'where the cluster is kept', join(checkout, '.local'));
const dir = () => resolve(program.opts<{ dir: string }>().dir);

program
  .command('up')
  .description('start it; nothing changes when it is up')
  .option('--nodes <n>', 'number of nodes', '2')
  .option('--name <name>', 'name of the cluster', 'weft')
  .option('--dns', 'also install CoreDNS')
  .action(async (options: { nodes: string; name: string; dns?: boolean }) => {
    const progress = reportProgress(process.stderr);
    await prepareMachine('cluster', progress);
    const nodes = Number(options.nodes);
    if (!Number.isInteger(nodes) || nodes < 1) throw new Error(`--nodes is a number from 1, not ${options.nodes}`);
    const cluster = await startCluster({ name: options.name, dir: dir(), nodes, progress });
    if (options.dns) await cluster.apply(...corednsObjects(cluster.plan));
    console.log(`export KUBECONFIG=${cluster.kubeconfig}\nkubectl is ${join(cluster.bin, 'kubectl')}`);
  });

program
  .command('down')
  .description('remove everything that up made')
  .action(async () => {
    const progress = reportProgress(process.stderr);
    const was = await progress.step('remove the cluster', () => takeDown(dir()));
    if (!was) console.log(`there is no cluster in ${dir()}`);
  });

program
  .command('status')
  .description('processes and addresses')
  .action(async () => {
    const cluster = await existing();
    console.log(`cluster ${cluster.plan.name}, API server https://${cluster.plan.controlPlane.v4}:6443`);
    for (const { name, pid, alive } of cluster.processes())
      console.log(`${name.padEnd(26)} ${pid} ${alive ? '' : 'dead'}`);
    process.stdout.write(await cluster.kubectl(['get', 'nodes', '-o', 'wide']));
  });

passThrough('kubectl [args...]', 'run kubectl against it', (cluster, args) => [
  ...[join(cluster.bin, 'kubectl'), '--kubeconfig', cluster.kubeconfig],
  ...args,
]);
passThrough('node <name> [args...]', 'run a command, or a shell, inside a node', (cluster, [name = '', ...args]) => [
  ...inNode(cluster.nodeInit(name)),
  ...(args.length > 0 ? args : ['bash']),
]);
passThrough('client [args...]', 'run a command, or a shell, as the client outside the cluster', (cluster, args) => [
  ...inNetworkOf(cluster.outsideClient().pid),
  ...(args.length > 0 ? args : ['bash']),
]);

function passThrough(usage: string, about: string, argv: (cluster: Cluster, args: string[]) => string[]): void {
  const command = program.command(usage).description(about).allowUnknownOption().helpOption(false).passThroughOptions();
  command.action(async () => {
    const [file = '', ...rest] = argv(await existing(), command.args);
    const child = spawn(file, rest, { stdio: 'inherit' });
    child.on('error', (error) => fail(error));
    child.on('exit', (code) => {
      process.exitCode = code ?? 1;
    });
  });
}

async function existing(): Promise<Cluster> {
  const cluster = openCluster(dir(), await goProgram('kubernetes'));
  if (cluster === undefined) throw new Error(`no cluster runs in ${dir()}: start it with up`);
  return cluster;
}

function fail(error: unknown): void {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

await program.parseAsync().catch(fail);

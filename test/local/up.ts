/** `npm run up`: a local Kubernetes with Weft and the demo, which it then plays. */
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Act } from '../../demo/acts.ts';
import { outcomeTable, playActs } from '../../demo/play.ts';
import { type Cluster, openCluster } from '../cluster/cluster.ts';
import { goProgram, isGoProgramBuilt } from '../cluster/gobuild.ts';
import { reportProgress } from '../cluster/progress.ts';
import { bringUp, localDirectory } from './bring-up.ts';
import { bundlePath } from './bundles.ts';
import { demoManifest } from './install.ts';
import { installCli } from './install-cli.ts';
import { countBackends, shopPods, stageOn, waitEnforced, weft } from './stage.ts';

const tools = join(localDirectory, 'bin');

const usage = `usage: npm run up [-- --no-demo]

Starts a local Kubernetes (a control plane and two nodes) with Weft as its network, deploys the demo into namespace
shop and plays it. What is up already is left as it is. npm run down removes it.

  --nodes N   number of nodes, 2 if not told
  --no-demo   don't play the acts
`;

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

async function tellIneffective(cluster: Cluster, act: Act): Promise<void> {
  if (act.ineffective === undefined) return;
  const status = await weft(cluster, ['status']);
  const lines = status.stdout.split('\n').filter((line) => line.includes(act.ineffective?.policy ?? ''));
  say(['  weft status says:', ...lines.map((line) => `    ${line.trim()}`)].join('\n'));
}

async function playAffinity(cluster: Cluster): Promise<void> {
  say('\n(g) MeshService api with Maglev and client affinity: each client stays on one backend, many spread');
  await cluster.kubectl(['scale', '-n', 'shop', 'deployment/frontend', '--replicas=8']);
  await cluster.kubectl(['apply', '-f', demoManifest('sticky-api')]);
  await cluster.kubectl(['rollout', 'status', '-n', 'shop', 'deployment/frontend', '--timeout=60s']);
  await waitEnforced(cluster, ['sticky-api']);
  const clients = (await shopPods(cluster)).filter((pod) => pod.deployment === 'frontend');
  for (const [pod, backends] of await countBackends(cluster, clients, 10)) {
    say(`  ${pod.padEnd(28)} ${[...backends].map(([app, count]) => `${app}: ${count}`).join(', ')}`);
  }
  await cluster.kubectl(['delete', '-f', demoManifest('sticky-api')]);
  await cluster.kubectl(['scale', '-n', 'shop', 'deployment/frontend', '--replicas=1']);
}

async function playDemo(cluster: Cluster): Promise<boolean> {
  const asExpected = await playActs(stageOn(cluster), async (act, outcomes) => {
    say(`\n(${act.name}) ${act.title}\n${outcomeTable(outcomes)}`);
    await tellIneffective(cluster, act);
  });
  await playAffinity(cluster);
  return asExpected;
}

/** `weft`, `kubectl weft` and the cluster's kubectl, for the user's PATH. */
function installTools(cluster: Cluster): void {
  installCli(tools, process.execPath, bundlePath('weft'));
  const link = join(tools, 'kubectl');
  rmSync(link, { force: true });
  symlinkSync(join(cluster.bin, 'kubectl'), link);
}

function whatNext(cluster: Cluster): string {
  return `
Try next:
  export KUBECONFIG=${cluster.kubeconfig} PATH=${tools}:$PATH
  kubectl apply -f demo/manifests/api-from-frontend.yaml
  kubectl exec -n shop deploy/stranger -- curl -sS --max-time 2 http://api/
  weft flows --verdict dropped
  weft policy explain shop/deploy/stranger svc/shop/api:http
  weft status                                     # also: kubectl weft status
npm run down removes everything.`;
}

/** Whether an earlier call got as far as the demo: then this one plays nothing. */
async function isUp(): Promise<boolean> {
  if (!isGoProgramBuilt('kubernetes')) return false;
  const running = openCluster(localDirectory, await goProgram('kubernetes'));
  const pods = await running?.kubectl(['get', 'deployment', '-n', 'shop', '-o', 'name']).catch(() => '');
  return (pods ?? '').includes('frontend');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '2' },
      'no-demo': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return say(usage);
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 2) throw new Error(`--nodes is a number from 2, not ${values.nodes}`);
  const began = performance.now();
  const wasUp = await isUp();
  const cluster = await bringUp({
    dir: localDirectory,
    name: 'weft',
    nodes,
    progress: reportProgress(process.stderr),
  });
  say(`up after ${((performance.now() - began) / 1000).toFixed(0)} s`);
  if (!wasUp && !values['no-demo'] && !(await playDemo(cluster))) {
    process.stderr.write('\nThe demo did not go as it should: see the lines marked UNEXPECTED.\n');
    process.exitCode = 1;
  }
  installTools(cluster);
  say(whatNext(cluster));
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

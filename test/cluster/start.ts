/** Starts a cluster, or finds the one that runs. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { hasDefaultAccount, isReady, openApi } from './api.ts';
import { Cluster, openCluster } from './cluster.ts';
import { controlPlaneLaunch, controlPlaneProcesses } from './control-plane.ts';
import { takeDown } from './down.ts';
import { goProgram, isGoProgramBuilt } from './gobuild.ts';
import { clusterImages } from './image/cluster-images.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { createLedger, type Ledger, readLedger } from './ledger.ts';
import { exclusively } from './mutex.ts';
import { createClient, createUnderlay } from './network.ts';
import { layeredDirs } from './node-config.ts';
import { createPki } from './pki.ts';
import { type ClusterPlan, clusterId, type PlanOptions } from './plan.ts';
import { isAlive, type Launch, launch } from './processes.ts';
import { type Progress, silentProgress } from './progress.ts';
import { writeState } from './state.ts';
import { Fatal, until } from './wait.ts';

export interface StartOptions extends PlanOptions {
  /** 2 if absent. */
  readonly nodes?: number;
  readonly progress?: Progress;
}

/**
 * The cluster of `dir`, started if it is not running; a half-started or half-dead one is taken down first.
 * It has no CNI and no kube-proxy: nodes stay NotReady, and only host-network pods run, until a CNI is installed.
 */
export async function startCluster(options: StartOptions): Promise<Cluster> {
  const dir = resolve(options.dir);
  checkDir(dir);
  const progress = options.progress ?? silentProgress;
  const bin = await progress.step(
    'Kubernetes binary',
    ({ waitingFor }) => goProgram('kubernetes', { onLine: (line) => waitingFor(`go: ${line}`) }),
    isGoProgramBuilt('kubernetes') ? {} : { expect: 'about 5 minutes, once' },
  );
  const images = await progress.step('cluster images', ({ waitingFor }) => clusterImages(waitingFor));
  return exclusively(`cluster-${clusterId(dir)}`, 600_000, async () => {
    const running = openCluster(dir, bin);
    if (running !== undefined) return running;
    if (readLedger(dir) !== undefined)
      await progress.step('remove what is left of an earlier start', () => takeDown(dir));
    return start({ ...options, dir }, bin, images, progress);
  });
}

async function start(options: StartOptions, bin: string, images: string, progress: Progress): Promise<Cluster> {
  const { dir } = options;
  const ledger = createLedger(dir, options.name);
  for (const name of ['pki', 'etcd', 'log', 'kubeconfig', 'cluster.json', 'cluster.json.new']) {
    ledger.append({ kind: 'path', path: join(dir, name) });
  }
  ledger.append({ kind: 'directory', path: join(dir, 'nodes') });
  const plan = await progress.step('control plane', async ({ waitingFor }) => {
    waitingFor('network');
    return startControlPlane(ledger, options, bin, waitingFor);
  });
  const cluster = new Cluster(plan, [], bin);
  await progress.step('nodes', async ({ waitingFor }) => {
    waitingFor('kubelets to register');
    await cluster.bootNewNodes(options.nodes ?? 2);
    waitingFor('images');
    await cluster.loadImage(images);
  });
  writeState(plan, cluster.nodes);
  return cluster;
}

async function startControlPlane(
  ledger: Ledger,
  options: StartOptions,
  bin: string,
  waitingFor: (what: string) => void,
): Promise<ClusterPlan> {
  const log = join(options.dir, 'log', 'network.log');
  const { plan, holder } = await createUnderlay(options, log);
  await createClient(ledger, plan, holder.pid, log);
  waitingFor('certificates');
  await createPki(plan);
  mkdirSync(join(plan.dir, 'etcd'), { recursive: true, mode: 0o700 });
  writeKubeconfig(plan, 'admin', join(plan.dir, 'kubeconfig'));
  for (const name of ['controller-manager', 'scheduler']) {
    writeKubeconfig(plan, name, join(plan.dir, 'pki', `${name}.kubeconfig`));
  }
  const [etcd, apiServer, ...clients] = controlPlaneProcesses.map((name) =>
    controlPlaneLaunch(name, plan, bin, holder.pid),
  );
  const starting = [etcd, apiServer].filter((one) => one !== undefined);
  const running = await Promise.all(starting.map(async (one) => ({ one, entry: await launch(ledger, one) })));
  const checkAlive = () => {
    for (const { one, entry } of running) if (!isAlive(entry)) throw new Fatal(died(one));
  };
  const api = openApi(plan);
  try {
    waitingFor('API server');
    const ready = () => {
      checkAlive();
      return isReady(api);
    };
    await until('the API server to be ready', ready, { hint: () => `see ${apiServer?.log}` });
    for (const one of clients) await launch(ledger, one);
    waitingFor('controller manager');
    await until('the default service account', () => hasDefaultAccount(api), { hint: () => `see ${clients[0]?.log}` });
  } finally {
    api.close();
  }
  return plan;
}

function died(one: Launch): string {
  return `${one.name} died while starting: see ${one.log}`;
}

/** Nodes put their own layer over these directories, and theirs can't be below what it covers. */
function checkDir(dir: string): void {
  const covered = [...layeredDirs, '/run', '/proc', '/sys', '/dev', '/mnt'].find(
    (top) => dir === top || dir.startsWith(`${top}/`),
  );
  if (covered !== undefined)
    throw new Error(`a cluster can't be kept below ${covered}: choose another directory than ${dir}`);
}

/** One local Kubernetes with Weft and the demo for all stories, in a directory of its own. */
import { join } from 'node:path';
import { objectOf, type Policy } from '../../demo/acts.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { whyNotHere } from '../cluster/prerequisites.ts';
import { silentProgress } from '../cluster/progress.ts';
import { bringUp } from '../local/bring-up.ts';
import { checkout } from '../local/build.ts';
import { type ShopPod, shopPods, stageOn } from '../local/stage.ts';

export const whyNot = whyNotHere();
const directory = join(checkout, '.local', 'e2e');

let world: Promise<Cluster> | undefined;

/** The cluster; the first caller waits until it is up. */
export function theCluster(): Promise<Cluster> {
  world ??= bringUp({ dir: directory, name: 'e2e', progress: silentProgress });
  return world;
}

export async function stopTheCluster(): Promise<void> {
  const cluster = await world?.catch(() => undefined);
  if (process.env.WEFT_KEEP_CLUSTER === undefined) await cluster?.stop();
}

/** Makes exactly these policies of the demo be applied and enforced. */
export async function onlyPolicies(cluster: Cluster, policies: readonly Policy[]): Promise<void> {
  const stage = stageOn(cluster);
  const all: readonly Policy[] = ['cluster-only', 'api-from-frontend', 'sticky-api'];
  const names = policies.map((policy) => objectOf[policy].name);
  for (const policy of all.filter((one) => !names.includes(objectOf[one].name))) await stage.remove(policy);
  for (const policy of policies) await stage.apply(policy);
  await stage.enforced(policies);
}

export interface Probe {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

const host = (address: string): string => (address.includes(':') ? `[${address}]` : address);
export const probeName = (probe: Probe): string => `${probe.protocol} ${host(probe.address)}:${probe.port}`;

function script(probes: readonly Probe[]): string {
  const one = (probe: Probe, index: number): string =>
    probe.port === 80
      ? `(curl -gs -o /dev/null --max-time 1 http://${host(probe.address)}:80/; echo ${index} $?) &`
      : `(demo ${probe.protocol} ${host(probe.address)}:${probe.port} 1s >/dev/null 2>&1; echo ${index} $?) &`;
  return `${probes.map(one).join('\n')}\nwait`;
}

function read(output: string, probes: readonly Probe[]): ReadonlyMap<string, boolean> {
  const codes = new Map(
    [...output.matchAll(/^(\d+) (\d+)$/gm)].map(([, index, code]) => [Number(index), code === '0']),
  );
  return new Map(probes.map((probe, index) => [probeName(probe), codes.get(index) ?? false]));
}

/** Tries all probes at once from a pod; probe → connected. */
export async function probeFrom(
  cluster: Cluster,
  pod: ShopPod,
  probes: readonly Probe[],
): Promise<ReadonlyMap<string, boolean>> {
  const result = await cluster.exec('shop', pod.name, ['sh', '-c', script(probes)]);
  if (result.code !== 0) throw new Error(`probing from ${pod.name} failed: ${result.stderr}`);
  return read(result.stdout, probes);
}

/** The pod of a Deployment with one replica. */
export async function podOf(cluster: Cluster, deployment: string): Promise<ShopPod> {
  const pod = (await shopPods(cluster)).find((one) => one.deployment === deployment);
  if (pod === undefined) throw new Error(`no running pod of ${deployment}`);
  return pod;
}

/** What a probe of all targets should give when `allowed` says so. */
export function expected(probes: readonly Probe[], allowed: (probe: Probe) => boolean): ReadonlyMap<string, boolean> {
  return new Map(probes.map((probe) => [probeName(probe), allowed(probe)]));
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

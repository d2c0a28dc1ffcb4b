/** Puts Weft and the demo onto a cluster, as a user would: the objects of the chart, applied. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installObjects } from '../../charts/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { corednsObjects } from '../cluster/coredns.ts';
import { checkout } from './build.ts';
import { demoArchive, weftImages } from './images.ts';

type Say = (waitingFor: string) => void;

const system = 'weft-system';

/** Loads Weft's images, applies the chart's objects and waits until every node is Ready. */
export async function installWeft(cluster: Cluster, say: Say): Promise<void> {
  const images = await weftImages(say);
  say('nodes to load the images');
  await cluster.loadImage(images.archive);
  say('the API server to take the objects');
  const objects = installObjects({
    agentImage: images.agent,
    operatorImage: images.operator,
    envoyImage: images.envoy,
    apiServer: `https://${cluster.plan.controlPlane.v4}:6443`,
    cgroup: '/sys/fs/cgroup/unified',
    imagePullPolicy: 'IfNotPresent',
  });
  await cluster.apply(...objects);
  say('the operator');
  await cluster.kubectl(['rollout', 'status', '-n', system, 'deployment/weft-operator', '--timeout=120s']);
  say('the agents');
  await cluster.kubectl(['rollout', 'status', '-n', system, 'daemonset/weft-agent', '--timeout=120s']);
  say('nodes to become Ready');
  await cluster.kubectl(['wait', 'node', '--all', '--for=condition=Ready', '--timeout=60s']);
  say("Envoy's pods");
  await cluster.kubectl(['rollout', 'status', '-n', system, 'daemonset/weft-envoy', '--timeout=120s']);
}

export async function installDns(cluster: Cluster, say: Say): Promise<void> {
  await cluster.apply(...corednsObjects(cluster.plan));
  say('CoreDNS');
  await cluster.kubectl(['rollout', 'status', '-n', 'kube-system', 'deployment/coredns', '--timeout=120s']);
}

export const demoManifest = (name: string): string => join(checkout, 'demo', 'manifests', `${name}.yaml`);

export async function installDemo(cluster: Cluster, say: Say): Promise<void> {
  await cluster.loadImage(await demoArchive(say));
  await cluster.kubectl(['apply', '-f', '-'], { input: await readFile(demoManifest('shop'), 'utf8') });
  say('the pods of namespace shop');
  for (const name of ['frontend', 'api-v1', 'api-v2', 'stranger']) {
    await cluster.kubectl(['rollout', 'status', '-n', 'shop', `deployment/${name}`, '--timeout=120s']);
  }
}

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';
import { demoImage } from '../local/images.ts';
import { onlyPolicies, sleep, theCluster } from './world.ts';

const denyAll = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'deny-all', namespace: 'shop' },
  spec: { podSelector: {}, policyTypes: ['Ingress'] },
};

/** A Job of two containers in turn: each calls the Service once and its exit code says how that went. */
function job(name: string, app: string): object {
  const call = (step: string) => ({
    name: step,
    image: demoImage,
    imagePullPolicy: 'IfNotPresent',
    command: ['curl', '--silent', '--show-error', '--fail', '--max-time', '3', '--retry', '0', 'http://api/'],
  });
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'shop' },
    spec: {
      backoffLimit: 0,
      template: {
        metadata: { labels: { app, job: name } },
        spec: { restartPolicy: 'Never', initContainers: [call('init')], containers: [call('main')] },
      },
    },
  };
}

export function workloadsStory(): void {
  describe('workloads', () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await theCluster();
    }, 900_000);
    afterAll(async () => {
      await cluster.kubectl(['delete', 'networkpolicy,job', '-n', 'shop', '--all']);
      await onlyPolicies(cluster, []);
    }, 60_000);

    test('kubelet probes keep working under default deny', async () => {
      await cluster.apply(denyAll);
      await sleep(8000);
      const pods = JSON.parse(await cluster.kubectl(['get', 'pods', '-n', 'shop', '-o', 'json'])) as {
        items: {
          metadata: { name: string };
          status: { containerStatuses: { ready: boolean; restartCount: number }[] };
        }[];
      };
      for (const pod of pods.items) {
        expect({ pod: pod.metadata.name, ...pod.status.containerStatuses[0] }).toMatchObject({
          ready: true,
          restartCount: 0,
        });
      }
      await cluster.kubectl(['delete', 'networkpolicy', '-n', 'shop', 'deny-all']);
    }, 60_000);

    test('Jobs and init containers have identity and policy', async () => {
      await onlyPolicies(cluster, ['api-from-frontend']);
      await cluster.kubectl(['apply', '-f', '-'], {
        input: [job('as-frontend', 'frontend'), job('as-visitor', 'visitor')]
          .map((one) => stringify(one))
          .join('---\n'),
      });
      await cluster.kubectl(['wait', '-n', 'shop', 'job/as-frontend', '--for=condition=Complete', '--timeout=40s']);
      await cluster.kubectl(['wait', '-n', 'shop', 'job/as-visitor', '--for=condition=Failed', '--timeout=40s']);
    }, 120_000);
  });
}

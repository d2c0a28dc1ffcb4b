import { readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { pkiPath } from './pki.ts';
import type { ClusterPlan } from './plan.ts';

/** The API server as nodes, host-network pods and this machine reach it. */
export function apiServerUrl(plan: ClusterPlan): string {
  return `https://${plan.controlPlane.v4}:6443`;
}

/** Writes a kubeconfig that holds its certificates itself, for the identity of that name in `<dir>/pki`. */
export function writeKubeconfig(plan: ClusterPlan, identity: string, path: string): void {
  const base64 = (file: string) => readFileSync(pkiPath(plan.dir, file)).toString('base64');
  const name = `weft-${plan.name}`;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: apiServerUrl(plan), 'certificate-authority-data': base64('ca.crt') } }],
    users: [
      {
        name: identity,
        user: {
          'client-certificate-data': base64(`${identity}.crt`),
          'client-key-data': base64(`${identity}.key`),
        },
      },
    ],
    contexts: [{ name, context: { cluster: name, user: identity } }],
    'current-context': name,
  };
  writeFileSync(path, stringify(config), { mode: 0o600 });
}

/** The few questions that starting a cluster asks the API server; everything else uses kubectl or a real client. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { z } from 'zod';
import { pkiPath } from './pki.ts';
import type { ClusterPlan } from './plan.ts';

export interface Api {
  /** Status and body of a GET. @throws Error when there is no answer within two seconds */
  get(path: string): Promise<{ status: number; body: string }>;
  close(): void;
}

export function openApi(plan: ClusterPlan): Api {
  const agent = new Agent({
    keepAlive: true,
    ca: readFileSync(pkiPath(plan.dir, 'ca.crt')),
    cert: readFileSync(pkiPath(plan.dir, 'admin.crt')),
    key: readFileSync(pkiPath(plan.dir, 'admin.key')),
  });
  const get: Api['get'] = (path) =>
    new Promise((resolve, reject) => {
      const options = { agent, host: plan.controlPlane.v4, port: 6443, path, timeout: 2_000 };
      const call = request(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      });
      call.on('timeout', () => call.destroy(new Error(`no answer from the API server to ${path}`)));
      call.on('error', reject);
      call.end();
    });
  return { get, close: () => agent.destroy() };
}

export async function isReady(api: Api): Promise<boolean> {
  return (await api.get('/readyz')).status === 200;
}

/** Pods are refused in a namespace until the controller manager has made its default service account. */
export async function hasDefaultAccount(api: Api): Promise<boolean> {
  return (await api.get('/api/v1/namespaces/default/serviceaccounts/default')).status === 200;
}

const NodeObject = z.object({
  spec: z.object({ podCIDRs: z.array(z.string()).optional() }),
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional() }),
});

export interface RegisteredNode {
  readonly podCIDRs: readonly string[];
  readonly ready: boolean;
}

/** A node that has its pod CIDRs of both families and a first report from its kubelet; undefined before that. */
export async function registeredNode(api: Api, name: string): Promise<RegisteredNode | undefined> {
  const { status, body } = await api.get(`/api/v1/nodes/${name}`);
  if (status !== 200) return undefined;
  const node = NodeObject.parse(JSON.parse(body));
  const podCIDRs = node.spec.podCIDRs ?? [];
  const ready = node.status.conditions?.find((condition) => condition.type === 'Ready');
  return podCIDRs.length === 2 && ready !== undefined ? { podCIDRs, ready: ready.status === 'True' } : undefined;
}

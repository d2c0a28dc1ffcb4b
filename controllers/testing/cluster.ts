import { randomBytes } from 'node:crypto';
import { defineKind, type KubeClient, type KubeObject } from 'kopf-ts';
import { clusterRules, namespaceRules } from '../../charts/rbac.ts';
import { weftCrds } from '../../crds/index.ts';
import { ApiServer } from '../../packages/kopf-ts/test/apiserver.ts';
import { configMapKind, crdKind, namespaceKind, nodeKind, podKind } from '../kinds.ts';
import { WeftOperator, type WeftOperatorOptions } from '../operator.ts';
import { certify, newKeys, TestAgent } from './agent.ts';

const NAMESPACE = 'weft-system';
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' } as const;

const kinds = {
  serviceAccount: defineKind({
    group: '',
    version: 'v1',
    plural: 'serviceaccounts',
    kind: 'ServiceAccount',
    namespaced: true,
  }),
  clusterRole: defineKind({ ...rbac, plural: 'clusterroles', kind: 'ClusterRole', namespaced: false }),
  role: defineKind({ ...rbac, plural: 'roles', kind: 'Role', namespaced: true }),
  clusterRoleBinding: defineKind({
    ...rbac,
    plural: 'clusterrolebindings',
    kind: 'ClusterRoleBinding',
    namespaced: false,
  }),
  roleBinding: defineKind({ ...rbac, plural: 'rolebindings', kind: 'RoleBinding', namespaced: true }),
};

/** An operator under test, as it runs. */
export interface RunningOperator {
  readonly operator: WeftOperator;
  readonly log: readonly string[];
  stop(): Promise<void>;
}

/** A real API server with the objects that an install makes; the operator has exactly the rights of the chart. */
export class TestCluster {
  readonly server: ApiServer;
  /** An administrator's. */
  readonly admin: KubeClient;
  readonly #running = new Set<RunningOperator>();
  readonly #clients: KubeClient[] = [];

  private constructor(server: ApiServer) {
    this.server = server;
    this.admin = server.client();
  }

  static async start(): Promise<TestCluster> {
    const cluster = new TestCluster(await ApiServer.start());
    await cluster.#install();
    return cluster;
  }

  async stop(): Promise<void> {
    for (const running of [...this.#running]) await running.stop();
    for (const client of [this.admin, ...this.#clients]) client.close();
    await this.server.stop();
  }

  async #install(): Promise<void> {
    const { admin } = this;
    await admin.create(namespaceKind, { metadata: { name: NAMESPACE } });
    for (const name of ['weft-operator', 'weft-agent', 'other']) {
      await admin.create(kinds.serviceAccount, { metadata: { namespace: NAMESPACE, name } });
    }
    const subjects = [{ kind: 'ServiceAccount', namespace: NAMESPACE, name: 'weft-operator' }];
    const metadata = { name: 'weft-operator' };
    const roleRef = (kind: string): object => ({ apiGroup: rbac.group, kind, name: 'weft-operator' });
    await create(admin, kinds.clusterRole, { metadata, rules: clusterRules });
    await create(admin, kinds.role, { metadata: { ...metadata, namespace: NAMESPACE }, rules: namespaceRules });
    await create(admin, kinds.clusterRoleBinding, { metadata, subjects, roleRef: roleRef('ClusterRole') });
    await create(admin, kinds.roleBinding, {
      metadata: { ...metadata, namespace: NAMESPACE },
      subjects,
      roleRef: roleRef('Role'),
    });
  }

  async installWeftCrds(): Promise<void> {
    for (const crd of weftCrds) await this.admin.apply(crdKind, { ...crd }, { fieldManager: 'install' });
  }

  /** A token of a service account of weft-system, as the API server's TokenRequest gives it. */
  async token(account: string, audience?: string, pod?: KubeObject): Promise<string> {
    const boundObjectRef =
      pod === undefined ? undefined : { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid };
    const answer = await this.admin.raw({
      method: 'POST',
      path: `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${account}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { ...(audience === undefined ? {} : { audiences: [audience] }), boundObjectRef, expirationSeconds: 3600 },
      },
    });
    const { status } = answer;
    if (typeof status === 'object' && status !== null && 'token' in status && typeof status.token === 'string') {
      return status.token;
    }
    throw new Error('no token');
  }

  /** An operator of its own, with the service account's rights. */
  async operator(options: Partial<WeftOperatorOptions> = {}): Promise<RunningOperator> {
    const client = this.server.client({ token: await this.token('weft-operator') });
    this.#clients.push(client);
    const log: string[] = [];
    const operator = new WeftOperator({
      client,
      namespace: NAMESPACE,
      port: 0,
      advertiseAddress: '192.0.2.1',
      identity: `test-${randomBytes(3).toString('hex')}`,
      version: 'test',
      log: (line) => log.push(line),
      graceMs: 2_000,
      ...options,
    });
    const abort = new AbortController();
    const ended = operator.run(abort.signal);
    const running: RunningOperator = {
      operator,
      log,
      stop: async () => {
        this.#running.delete(running);
        abort.abort();
        await ended;
      },
    };
    this.#running.add(running);
    await Promise.race([
      operator.ready,
      ended,
      new Promise((_, reject) => setTimeout(() => reject(new Error(`not ready: ${log.join('\n')}`)), 15_000).unref()),
    ]);
    return running;
  }

  async addNode(name: string, index: number): Promise<void> {
    const node = await create(this.admin, nodeKind, {
      metadata: { name },
      spec: { podCIDR: `10.244.${index}.0/24`, podCIDRs: [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`] },
    });
    await this.admin.patchStatus(nodeKind, node.metadata, {
      addresses: [{ type: 'InternalIP', address: `10.250.0.${10 + index}` }],
    });
  }

  /** A pod that the scheduler put on a node, and that runs there. */
  async addPod(pod: {
    readonly namespace: string;
    readonly name: string;
    readonly node: string;
    readonly account?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ip?: string;
  }): Promise<KubeObject> {
    const { namespace, name, node, account = 'default', labels = {}, ip } = pod;
    const created = await create(this.admin, podKind, {
      metadata: { namespace, name, labels },
      spec: {
        nodeName: node,
        serviceAccountName: account,
        containers: [{ name: 'main', image: 'none' }],
        terminationGracePeriodSeconds: 0,
      },
    });
    const status = { phase: 'Running', ...(ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] }) };
    await this.admin.patchStatus(podKind, created.metadata, status);
    return created;
  }

  async caPem(): Promise<string> {
    const { data } = await this.admin.get(configMapKind, { namespace: NAMESPACE, name: 'weft-ca' });
    return data?.['ca.crt'] ?? '';
  }

  /** An agent on a node, from its pod to its streams. */
  async agent(
    node: string,
    port: number,
    options: { readonly automatic?: boolean; readonly others?: readonly number[] } = {},
  ): Promise<TestAgent> {
    const name = `weft-agent-${node}-${randomBytes(3).toString('hex')}`;
    const pod = await this.addPod({ namespace: NAMESPACE, name, node, account: 'weft-agent' });
    const keys = newKeys();
    const token = await this.token('weft-agent', 'weft-operator', pod);
    const certificate = await certify(port, await this.caPem(), token, keys);
    return new TestAgent({ port, certificate, keys, ...options });
  }
}

/** Creates an object whose type this operator does not know in full. */
export function create(
  client: KubeClient,
  kind: ReturnType<typeof defineKind>,
  object: KubeObject & Readonly<Record<string, unknown>>,
): Promise<KubeObject> {
  return client.create<KubeObject>(kind, object);
}

/** Tries until `check` does not throw any more; then gives what it gave. */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 10_000): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

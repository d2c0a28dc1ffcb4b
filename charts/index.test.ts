import { describe, expect, test } from '@jest/globals';
import { installObjects } from './index.ts';

interface Installed {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly {
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
    readonly resourceNames?: readonly string[];
  }[];
  readonly spec?: {
    readonly template?: {
      readonly spec: {
        readonly containers: readonly {
          readonly image: string;
          readonly args?: readonly string[];
          readonly securityContext: object;
        }[];
        readonly securityContext?: object;
        readonly priorityClassName: string;
        readonly tolerations: readonly object[];
        readonly volumes: readonly { readonly hostPath?: { readonly path: string } }[];
      };
    };
  };
}

const values = {
  agentImage: 'registry.example/agent:1',
  operatorImage: 'registry.example/operator:1',
  envoyImage: 'registry.example/envoy:1',
  apiServer: 'https://10.0.0.1:6443',
};
const objects = installObjects(values) as Installed[];
const one = (kind: string, name: string): Installed => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};

describe('the install', () => {
  test('names what it consists of, namespace and kinds first', () => {
    expect(objects.map((object) => `${object.kind} ${object.metadata.name}`)).toEqual([
      'Namespace weft-system',
      'CustomResourceDefinition meshservices.weft.dev',
      'CustomResourceDefinition l7routes.weft.dev',
      'ServiceAccount weft-operator',
      'ClusterRole weft-operator',
      'ClusterRoleBinding weft-operator',
      'Role weft-operator',
      'RoleBinding weft-operator',
      'Deployment weft-operator',
      'ServiceAccount weft-agent',
      'Role weft-agent',
      'RoleBinding weft-agent',
      'DaemonSet weft-agent',
      'ServiceAccount weft-envoy',
      'ConfigMap weft-envoy',
      'DaemonSet weft-envoy',
    ]);
  });

  test('the agent may read two named objects and nothing else', () => {
    const rules = one('Role', 'weft-agent').rules ?? [];
    expect(rules.flatMap((rule) => rule.verbs)).toEqual(['get', 'get']);
    expect(rules.flatMap((rule) => rule.resourceNames)).toEqual(['weft-ca', 'weft-operator']);
    expect(
      objects.filter((object) => object.kind.startsWith('ClusterRole') && object.metadata.name === 'weft-agent'),
    ).toEqual([]);
  });

  test('no rule of the operator has a wildcard, and none writes pods, nodes or policies', () => {
    const rules = [...(one('ClusterRole', 'weft-operator').rules ?? []), ...(one('Role', 'weft-operator').rules ?? [])];
    const writes = rules.filter((rule) => rule.verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)));
    for (const rule of rules) expect([...rule.verbs, ...rule.resources]).not.toContain('*');
    for (const resource of ['pods', 'nodes', 'ciliumnetworkpolicies', 'networkpolicies', 'services']) {
      expect(writes.flatMap((rule) => rule.resources)).not.toContain(resource);
    }
  });

  test('the operator runs without root, capabilities or a writable root file system', () => {
    const pod = one('Deployment', 'weft-operator').spec?.template?.spec;
    expect(pod?.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(pod?.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test('all run wherever there is a node, and are not the first to go where memory is short', () => {
    for (const [kind, name, priority] of [
      ['Deployment', 'weft-operator', 'system-cluster-critical'],
      ['DaemonSet', 'weft-agent', 'system-node-critical'],
      ['DaemonSet', 'weft-envoy', 'system-node-critical'],
    ] as const) {
      expect(one(kind, name).spec?.template?.spec).toMatchObject({
        priorityClassName: priority,
        tolerations: [{ operator: 'Exists' }],
      });
    }
  });

  test('of the node the agent mounts what it owns, Envoy where the sockets are, the operator nothing', () => {
    const mounted = (kind: string, name: string): string[] =>
      one(kind, name).spec?.template?.spec.volumes.flatMap(({ hostPath }) => hostPath?.path ?? []) ?? [];
    expect(mounted('DaemonSet', 'weft-agent').sort()).toEqual([
      '/etc/cni/net.d',
      '/opt/cni/bin',
      '/run/netns',
      '/run/weft',
      '/sys/fs/bpf',
      '/sys/fs/cgroup',
    ]);
    expect(mounted('Deployment', 'weft-operator')).toEqual([]);
    expect(mounted('DaemonSet', 'weft-envoy')).toEqual(['/run/weft/envoy']);
    expect(one('DaemonSet', 'weft-agent').spec?.template?.spec.containers[0]?.securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
    });
  });

  test('Envoy is a pod like any other: its own network, no token, three capabilities, no writable root', () => {
    const pod = one('DaemonSet', 'weft-envoy').spec?.template?.spec;
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
    });
    for (const host of ['hostNetwork', 'hostPID', 'hostIPC']) expect(pod).not.toHaveProperty(host);
    expect(pod?.containers[0]?.securityContext).toEqual({
      runAsUser: 0,
      runAsGroup: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_RAW', 'SETUID', 'SETGID'] },
    });
    expect(objects.filter(({ kind, metadata }) => /Role/.test(kind) && metadata.name === 'weft-envoy')).toEqual([]);
  });

  test('a new Envoy stands beside the old one, which has longer than it drains', () => {
    const { spec } = one('DaemonSet', 'weft-envoy');
    expect(spec).toMatchObject({
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: { spec: { terminationGracePeriodSeconds: 60 } },
    });
    // Before it 2 s for the agent, after it 5 s until SIGKILL.
    const drain = /^--drain-seconds=(\d+)$/m.exec(spec?.template?.spec.containers[0]?.args?.join('\n') ?? '')?.[1];
    expect(Number(drain) + 2 + 5).toBeLessThan(60);
  });

  test('another bootstrap is another pod, and another image alone no other bootstrap', () => {
    const template = (more: object): object => {
      const made = installObjects({ ...values, ...more }) as Installed[];
      const found = made.find(({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === 'weft-envoy');
      return (found?.spec?.template as { metadata: { annotations: object } } | undefined)?.metadata.annotations ?? {};
    };
    expect(template({ envoyMemoryMi: 256 })).not.toEqual(template({}));
    expect(template({ envoyImage: 'other:2' })).toEqual(template({}));
  });

  test('images and the address of the API server are those that were told', () => {
    const agent = one('DaemonSet', 'weft-agent').spec?.template?.spec.containers[0];
    expect(agent?.image).toBe(values.agentImage);
    expect(agent?.args).toContain('--api-server=https://10.0.0.1:6443');
    expect(one('Deployment', 'weft-operator').spec?.template?.spec.containers[0]?.image).toBe(values.operatorImage);
    expect(one('DaemonSet', 'weft-envoy').spec?.template?.spec.containers[0]?.image).toBe(values.envoyImage);
  });
});

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

  test('both run wherever there is a node, and are not the first to go where memory is short', () => {
    for (const [kind, name, priority] of [
      ['Deployment', 'weft-operator', 'system-cluster-critical'],
      ['DaemonSet', 'weft-agent', 'system-node-critical'],
    ] as const) {
      expect(one(kind, name).spec?.template?.spec).toMatchObject({
        priorityClassName: priority,
        tolerations: [{ operator: 'Exists' }],
      });
    }
  });

  test('of the node the agent mounts what it owns, the operator nothing', () => {
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
    expect(one('DaemonSet', 'weft-agent').spec?.template?.spec.containers[0]?.securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
    });
  });

  test('images and the address of the API server are those that were told', () => {
    const agent = one('DaemonSet', 'weft-agent').spec?.template?.spec.containers[0];
    expect(agent?.image).toBe(values.agentImage);
    expect(agent?.args).toContain('--api-server=https://10.0.0.1:6443');
    expect(one('Deployment', 'weft-operator').spec?.template?.spec.containers[0]?.image).toBe(values.operatorImage);
  });
});

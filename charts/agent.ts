import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { type InstallValues, labelsOf, namespace } from './values.ts';

const name = 'weft-agent';
const healthPort = 15021;
const probe = (path: string) => ({ httpGet: { host: '127.0.0.1', path, port: healthPort } });

/** The agent: a privileged process on every node, with no right in the API but to read two named objects. */
export class Agent extends Construct {
  constructor(scope: Construct, id: string, values: InstallValues) {
    super(scope, id);
    const metadata = { name, namespace, labels: labelsOf(name) };
    const add = (part: string, apiVersion: string, kind: string, rest: object) =>
      new ApiObject(this, part, { apiVersion, kind, metadata, ...rest });
    add('account', 'v1', 'ServiceAccount', {});
    add('role', 'rbac.authorization.k8s.io/v1', 'Role', {
      rules: [
        { apiGroups: [''], resources: ['configmaps'], resourceNames: ['weft-ca'], verbs: ['get'] },
        {
          apiGroups: ['discovery.k8s.io'],
          resources: ['endpointslices'],
          resourceNames: ['weft-operator'],
          verbs: ['get'],
        },
      ],
    });
    add('binding', 'rbac.authorization.k8s.io/v1', 'RoleBinding', {
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    });
    add('daemonset', 'apps/v1', 'DaemonSet', { spec: daemonSet(values) });
  }
}

interface HostPath {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly propagation?: 'Bidirectional' | 'HostToContainer';
}

function hostPaths(values: InstallValues): readonly HostPath[] {
  return [
    // Sockets for the CNI binary and the CLI; what it allocated, to know it again after a restart.
    { name: 'run', path: '/run/weft', type: 'DirectoryOrCreate' },
    // Pinned programs and maps, which go on while there is no agent.
    { name: 'bpf', path: '/sys/fs/bpf', type: 'Directory', propagation: 'Bidirectional' },
    // Where the programs of Services are attached.
    { name: 'cgroup', path: values.cgroup ?? '/sys/fs/cgroup', type: 'Directory' },
    // It installs itself as the node's CNI plugin.
    { name: 'cni-conf', path: '/etc/cni/net.d', type: 'DirectoryOrCreate' },
    { name: 'cni-bin', path: '/opt/cni/bin', type: 'DirectoryOrCreate' },
    // The pods' network namespaces, made by the runtime.
    { name: 'netns', path: '/run/netns', type: 'DirectoryOrCreate', propagation: 'HostToContainer' },
  ];
}

const cgroupMount = '/run/weft-cgroup';

function daemonSet(values: InstallValues): object {
  const labels = labelsOf(name);
  const paths = hostPaths(values);
  return {
    selector: { matchLabels: labels },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    template: {
      metadata: { labels },
      spec: {
        serviceAccountName: name,
        priorityClassName: 'system-node-critical',
        hostNetwork: true,
        dnsPolicy: 'Default',
        tolerations: [{ operator: 'Exists' }],
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: 'agent',
            image: values.agentImage,
            imagePullPolicy: values.imagePullPolicy ?? 'IfNotPresent',
            args: [
              `--cgroup=${cgroupMount}`,
              ...(values.apiServer === '' ? [] : [`--api-server=${values.apiServer}`]),
              ...(values.mtu === undefined ? [] : [`--mtu=${values.mtu}`]),
            ],
            env: [
              { name: 'WEFT_NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
              { name: 'WEFT_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
            ],
            readinessProbe: { ...probe('/readyz'), periodSeconds: 1, failureThreshold: 5 },
            livenessProbe: { ...probe('/healthz'), initialDelaySeconds: 10, periodSeconds: 10, failureThreshold: 3 },
            resources: { requests: { cpu: '50m', memory: '64Mi' } },
            // Privileged, because single capabilities are not enough: it sets sysctls of the node, and a runtime mounts
            // /proc/sys read-only for all others; what it pins and mounts must outlive its pod, so bpffs is shared in
            // both directions, which Kubernetes grants to privileged containers alone. Of the capabilities it uses
            // BPF and PERFMON (load and verify programs), NET_ADMIN (attach them, links, routes), SYS_ADMIN (enter
            // the pods' network namespaces).
            securityContext: { privileged: true, readOnlyRootFilesystem: true },
            volumeMounts: [
              ...paths.map((one) => ({
                name: one.name,
                mountPath: one.name === 'cgroup' ? cgroupMount : one.path,
                ...(one.propagation === undefined ? {} : { mountPropagation: one.propagation }),
              })),
              { name: 'token', mountPath: '/var/run/secrets/weft', readOnly: true },
              { name: 'tmp', mountPath: '/tmp' },
            ],
          },
        ],
        volumes: [
          ...paths.map(({ name: volume, path, type }) => ({ name: volume, hostPath: { path, type } })),
          {
            name: 'token',
            projected: {
              sources: [{ serviceAccountToken: { audience: 'weft-operator', expirationSeconds: 3600, path: 'token' } }],
            },
          },
          { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
        ],
      },
    },
  };
}

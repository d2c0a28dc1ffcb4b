import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { clusterRules, namespaceRules } from './rbac.ts';
import { type InstallValues, labelsOf, namespace } from './values.ts';

const name = 'weft-operator';
const healthPort = 15020;
const probe = (path: string) => ({ httpGet: { host: '127.0.0.1', path, port: healthPort } });

/** The operator: on the host network with a fixed port, because it must run before there is a pod network. */
export class Operator extends Construct {
  constructor(scope: Construct, id: string, values: InstallValues) {
    super(scope, id);
    const metadata = { name, namespace, labels: labelsOf(name) };
    const subjects = [{ kind: 'ServiceAccount', name, namespace }];
    const role = (kind: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });
    const rbac = 'rbac.authorization.k8s.io/v1';
    const add = (part: string, apiVersion: string, kind: string, rest: object, meta: object = metadata) =>
      new ApiObject(this, part, { apiVersion, kind, metadata: meta, ...rest });
    const wide = { name, labels: labelsOf(name) };
    add('account', 'v1', 'ServiceAccount', {});
    add('cluster-role', rbac, 'ClusterRole', { rules: clusterRules }, wide);
    add('cluster-binding', rbac, 'ClusterRoleBinding', { roleRef: role('ClusterRole'), subjects }, wide);
    add('role', rbac, 'Role', { rules: namespaceRules });
    add('binding', rbac, 'RoleBinding', { roleRef: role('Role'), subjects });
    add('deployment', 'apps/v1', 'Deployment', { spec: deployment(values) });
  }
}

function deployment(values: InstallValues): object {
  const labels = labelsOf(name);
  return {
    replicas: values.replicas ?? 1,
    selector: { matchLabels: labels },
    // Two replicas can't share a node's port, so the old one leaves first.
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    template: {
      metadata: { labels },
      spec: {
        serviceAccountName: name,
        priorityClassName: 'system-cluster-critical',
        hostNetwork: true,
        dnsPolicy: 'Default',
        tolerations: [{ operator: 'Exists' }],
        terminationGracePeriodSeconds: 15,
        affinity: {
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { labelSelector: { matchLabels: labels }, topologyKey: 'kubernetes.io/hostname' },
            ],
          },
        },
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65532,
          runAsGroup: 65532,
          fsGroup: 65532,
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [
          {
            name: 'operator',
            image: values.operatorImage,
            imagePullPolicy: values.imagePullPolicy ?? 'IfNotPresent',
            ...(values.apiServer === '' ? {} : { args: [`--api-server=${values.apiServer}`] }),
            env: [
              { name: 'HOST_IP', valueFrom: { fieldRef: { fieldPath: 'status.hostIP' } } },
              { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'POD_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
            ],
            ports: [{ name: 'agents', containerPort: 15443, hostPort: 15443, protocol: 'TCP' }],
            readinessProbe: { ...probe('/readyz'), periodSeconds: 1, failureThreshold: 5 },
            livenessProbe: { ...probe('/healthz'), initialDelaySeconds: 10, periodSeconds: 10, failureThreshold: 3 },
            resources: { requests: { cpu: '100m', memory: '128Mi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            volumeMounts: [{ name: 'run', mountPath: '/run/weft-operator' }],
          },
        ],
        volumes: [{ name: 'run', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }],
      },
    },
  };
}

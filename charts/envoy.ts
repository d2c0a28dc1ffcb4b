import { createHash } from 'node:crypto';
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { bootstrap, envoyDir, envoyRunDir } from './envoy-bootstrap.ts';
import { type InstallValues, labelsOf, namespace } from './values.ts';

const name = 'weft-envoy';
const readyPort = 15021;
/** Of the pod, without a word from the values. */
const memoryMi = 512;
/** How long a pod that ends waits for connections; with what is before and after it, less than the grace period. */
const drainSeconds = 50;
const graceSeconds = 60;

/** Envoy: one ordinary pod on every node, with no right in the API. Its process runs only while the node needs it. */
export class Envoy extends Construct {
  constructor(scope: Construct, id: string, values: InstallValues) {
    super(scope, id);
    const metadata = { name, namespace, labels: labelsOf(name) };
    const add = (part: string, apiVersion: string, kind: string, rest: object) =>
      new ApiObject(this, part, { apiVersion, kind, metadata, ...rest });
    const memory = values.envoyMemoryMi ?? memoryMi;
    // The rest is for what is not heap: code, stacks, socket buffers, the supervisor.
    const heapBytes = Math.floor(memory * 0.8) * 1024 * 1024;
    const text = `${JSON.stringify(bootstrap({ heapBytes, connections: 50_000 }), undefined, 2)}\n`;
    add('account', 'v1', 'ServiceAccount', { automountServiceAccountToken: false });
    add('bootstrap', 'v1', 'ConfigMap', { data: { 'bootstrap.json': text } });
    add('daemonset', 'apps/v1', 'DaemonSet', { spec: daemonSet(values, memory, text) });
  }
}

function daemonSet(values: InstallValues, memory: number, bootstrapText: string): object {
  const labels = labelsOf(name);
  return {
    selector: { matchLabels: labels },
    // The new pod stands beside the old one before that one is told to go.
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    template: {
      metadata: {
        labels,
        // Another bootstrap is another pod.
        annotations: { 'weft.dev/bootstrap': createHash('sha256').update(bootstrapText).digest('hex').slice(0, 16) },
      },
      spec: {
        serviceAccountName: name,
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        priorityClassName: 'system-node-critical',
        // It asks no name server.
        dnsPolicy: 'Default',
        tolerations: [{ operator: 'Exists' }],
        terminationGracePeriodSeconds: graceSeconds,
        securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'envoy',
            image: values.envoyImage,
            imagePullPolicy: values.imagePullPolicy ?? 'IfNotPresent',
            args: [
              '--node-id=$(POD_UID)',
              `--concurrency=${values.envoyConcurrency ?? 2}`,
              `--drain-seconds=${drainSeconds}`,
              `--ready-port=${readyPort}`,
            ],
            env: [{ name: 'POD_UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } }],
            // Open exactly while the pod does what the agent last said; that it is closed is no reason to restart it.
            readinessProbe: { tcpSocket: { port: readyPort }, periodSeconds: 1, failureThreshold: 3 },
            resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: `${memory}Mi` } },
            securityContext: {
              runAsUser: 0,
              runAsGroup: 0,
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: {
                drop: ['ALL'],
                add: [
                  // Sockets with the clients' and the servers' addresses (IP_TRANSPARENT), marked for the kernel's programs
                  // (SO_MARK); all that Envoy has.
                  'NET_RAW',
                  // From root to user 1337 at the start: Kubernetes gives capabilities to root alone. Both are gone then.
                  'SETUID',
                  'SETGID',
                ],
              },
            },
            volumeMounts: [
              // Connecting writes nothing; nobody in this pod makes or removes the agent's sockets.
              { name: 'agent', mountPath: envoyDir, readOnly: true },
              { name: 'run', mountPath: envoyRunDir },
              { name: 'bootstrap', mountPath: '/etc/weft-envoy', readOnly: true },
            ],
          },
        ],
        volumes: [
          // The agent's sockets.
          { name: 'agent', hostPath: { path: envoyDir, type: 'DirectoryOrCreate' } },
          { name: 'run', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          { name: 'bootstrap', configMap: { name } },
        ],
      },
    },
  };
}

/** The cluster's DNS as objects to apply: CoreDNS behind the Service that kubelet points pods to. */
import { corednsImage } from './image/names.ts';
import { type ClusterPlan, serviceAddress } from './plan.ts';

const namespace = 'kube-system';
const labels = { 'k8s-app': 'kube-dns' };

const corefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    cache 30
    reload
}
`;

/** ServiceAccount, RBAC, ConfigMap, Deployment and the dual-stack Service `kube-dns` at the 10th address. */
export function corednsObjects(plan: Pick<ClusterPlan, 'serviceCIDR'>): object[] {
  const address = serviceAddress(plan.serviceCIDR, 10);
  const named = (name: string) => ({ name, namespace, labels });
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: named('coredns') },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'system:coredns' },
      rules: [
        { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'system:coredns' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' },
      subjects: [{ kind: 'ServiceAccount', name: 'coredns', namespace }],
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: named('coredns'), data: { Corefile: corefile } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: named('coredns'), spec: deploymentSpec() },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: named('kube-dns'),
      spec: {
        selector: labels,
        clusterIP: address.v4,
        clusterIPs: [address.v4, address.v6],
        ipFamilies: ['IPv4', 'IPv6'],
        ipFamilyPolicy: 'RequireDualStack',
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
          { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
        ],
      },
    },
  ];
}

function deploymentSpec(): object {
  const probe = (path: string, port: number) => ({ httpGet: { path, port } });
  return {
    replicas: 1,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        serviceAccountName: 'coredns',
        priorityClassName: 'system-cluster-critical',
        // Its own answers come from the API server alone: a test cluster has no upstream.
        dnsPolicy: 'Default',
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'coredns',
            image: corednsImage,
            imagePullPolicy: 'Never',
            args: ['-conf', '/etc/coredns/Corefile'],
            ports: [
              { name: 'dns', containerPort: 53, protocol: 'UDP' },
              { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
            ],
            readinessProbe: { ...probe('/ready', 8181), periodSeconds: 1, failureThreshold: 30 },
            livenessProbe: { ...probe('/health', 8080), initialDelaySeconds: 10, failureThreshold: 5 },
            resources: { requests: { cpu: '10m', memory: '32Mi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { add: ['NET_BIND_SERVICE'], drop: ['ALL'] },
            },
            volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
          },
        ],
        volumes: [{ name: 'config', configMap: { name: 'coredns' } }],
      },
    },
  };
}

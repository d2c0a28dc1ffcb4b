/** etcd, API server, controller manager and scheduler: plain processes in the underlay's network namespace. */
import { join } from 'node:path';
import { inNetworkOf } from './network.ts';
import { pkiPath } from './pki.ts';
import type { ClusterPlan } from './plan.ts';
import type { Launch } from './processes.ts';

export const controlPlaneProcesses = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const;
export type ControlPlaneProcess = (typeof controlPlaneProcesses)[number];

/** In the control plane's namespace only: nothing but the API server can reach it. */
export const etcdUrl = 'http://127.0.0.1:2379';

/** How to start one of them. @param bin directory of the Kubernetes binary; @param holder process of the namespace */
export function controlPlaneLaunch(name: ControlPlaneProcess, plan: ClusterPlan, bin: string, holder: number): Launch {
  return {
    name,
    argv: [...inNetworkOf(holder), join(bin, name), ...argumentsOf(name, plan)],
    log: join(plan.dir, 'log', `${name}.log`),
  };
}

function argumentsOf(name: ControlPlaneProcess, plan: ClusterPlan): string[] {
  switch (name) {
    case 'etcd':
      return etcdArguments(plan);
    case 'kube-apiserver':
      return apiServerArguments(plan);
    case 'kube-controller-manager':
      return controllerManagerArguments(plan);
    case 'kube-scheduler':
      return [...clientArguments(plan, 'scheduler'), '--leader-elect=false', '--bind-address=127.0.0.1'];
  }
}

function etcdArguments(plan: ClusterPlan): string[] {
  const peer = 'http://127.0.0.1:2380';
  return [
    '--name=etcd',
    `--data-dir=${join(plan.dir, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=etcd=${peer}`,
    // The data outlives a killed process, though not a power cut; fsync would cost seconds at start.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerArguments(plan: ClusterPlan): string[] {
  const pki = (file: string) => pkiPath(plan.dir, file);
  return [
    `--etcd-servers=${etcdUrl}`,
    `--advertise-address=${plan.controlPlane.v4}`,
    '--bind-address=::',
    '--secure-port=6443',
    `--tls-cert-file=${pki('apiserver.crt')}`,
    `--tls-private-key-file=${pki('apiserver.key')}`,
    `--client-ca-file=${pki('ca.crt')}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki('sa.key')}`,
    `--service-account-signing-key-file=${pki('sa.key')}`,
    `--service-cluster-ip-range=${plan.serviceCIDR.v4},${plan.serviceCIDR.v6}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--kubelet-client-certificate=${pki('admin.crt')}`,
    `--kubelet-client-key=${pki('admin.key')}`,
    `--kubelet-certificate-authority=${pki('ca.crt')}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--proxy-client-cert-file=${pki('front-proxy.crt')}`,
    `--proxy-client-key-file=${pki('front-proxy.key')}`,
    `--requestheader-client-ca-file=${pki('ca.crt')}`,
    '--requestheader-allowed-names=front-proxy',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
  ];
}

function controllerManagerArguments(plan: ClusterPlan): string[] {
  const pki = (file: string) => pkiPath(plan.dir, file);
  return [
    ...clientArguments(plan, 'controller-manager'),
    `--service-account-private-key-file=${pki('sa.key')}`,
    `--root-ca-file=${pki('ca.crt')}`,
    '--use-service-account-credentials=true',
    '--leader-elect=false',
    '--allocate-node-cidrs=true',
    `--cluster-cidr=${plan.podCIDR.v4},${plan.podCIDR.v6}`,
    '--node-cidr-mask-size-ipv4=24',
    '--node-cidr-mask-size-ipv6=64',
    `--service-cluster-ip-range=${plan.serviceCIDR.v4},${plan.serviceCIDR.v6}`,
    `--cluster-signing-cert-file=${pki('ca.crt')}`,
    `--cluster-signing-key-file=${pki('ca.key')}`,
    '--bind-address=127.0.0.1',
    '--node-monitor-grace-period=20s',
    '--concurrent-deployment-syncs=20',
    '--concurrent-replicaset-syncs=20',
  ];
}

/** The default of 20 requests a second would cost six seconds at start. */
function clientArguments(plan: ClusterPlan, identity: string): string[] {
  const kubeconfig = join(plan.dir, 'pki', `${identity}.kubeconfig`);
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--kube-api-qps=1000',
    '--kube-api-burst=2000',
  ];
}

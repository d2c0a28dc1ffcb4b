/** The cluster's certificate authority and what it signs, by the openssl command; EC P-256 throughout. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type ClusterPlan, type NodePlan, serviceAddress } from './plan.ts';
import { run } from './run.ts';

export interface Identity {
  /** File name without ending, below `<dir>/pki`. */
  readonly file: string;
  readonly commonName: string;
  /** Kubernetes reads it as the group. */
  readonly organization?: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-days', '3650'];

export function pkiPath(dir: string, file: string): string {
  return join(dir, 'pki', file);
}

/** Makes the authority, the control plane's certificates and the service account key. */
export async function createPki(plan: ClusterPlan): Promise<void> {
  mkdirSync(join(plan.dir, 'pki'), { recursive: true, mode: 0o700 });
  const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature'];
  await Promise.all([
    request(plan.dir, 'ca', [{ CN: `weft-test-${plan.name}` }], extensions, []),
    // In the older form (SEC 1): the API server reads a public key from that one only.
    run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', pkiPath(plan.dir, 'sa.key')]),
  ]);
  await Promise.all(controlPlaneIdentities(plan).map((identity) => sign(plan.dir, identity)));
}

/** Makes the key and the certificate of an identity: good as client and, with names, as server. */
export async function sign(dir: string, identity: Identity): Promise<void> {
  const names = [
    ...(identity.dns ?? []).map((name) => `DNS:${name}`),
    ...(identity.ip ?? []).map((address) => `IP:${address}`),
  ];
  const subject = [...(identity.organization ? [{ O: identity.organization }] : []), { CN: identity.commonName }];
  const extensions = [
    'basicConstraints=CA:FALSE',
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
  ];
  const authority = ['-CA', pkiPath(dir, 'ca.crt'), '-CAkey', pkiPath(dir, 'ca.key')];
  await request(dir, identity.file, subject, extensions, authority);
}

async function request(
  dir: string,
  file: string,
  subject: readonly Readonly<Record<string, string>>[],
  extensions: readonly string[],
  authority: readonly string[],
): Promise<void> {
  const name = subject.flatMap((part) => Object.entries(part).map(([key, value]) => `/${key}=${value}`)).join('');
  await run([
    ...['openssl', 'req', '-x509', ...newKey, '-subj', name, ...authority],
    // The machine's own openssl.cnf would add extensions of its own.
    ...['-config', '/dev/null', ...extensions.flatMap((extension) => ['-addext', extension])],
    ...['-keyout', pkiPath(dir, `${file}.key`), '-out', pkiPath(dir, `${file}.crt`)],
  ]);
}

/** What kubelet is towards the API server, and the API server's and its users' view of kubelet. */
export function nodeIdentity(node: NodePlan): Identity {
  return {
    file: node.name,
    commonName: `system:node:${node.name}`,
    organization: 'system:nodes',
    dns: [node.name],
    ip: [node.address.v4, node.address.v6],
  };
}

function controlPlaneIdentities(plan: ClusterPlan): Identity[] {
  const service = serviceAddress(plan.serviceCIDR, 1);
  return [
    {
      file: 'apiserver',
      commonName: 'kube-apiserver',
      dns: [
        'kubernetes',
        'kubernetes.default',
        'kubernetes.default.svc',
        'kubernetes.default.svc.cluster.local',
        'localhost',
      ],
      ip: [plan.controlPlane.v4, plan.controlPlane.v6, service.v4, service.v6, '127.0.0.1', '::1'],
    },
    { file: 'admin', commonName: 'admin', organization: 'system:masters' },
    { file: 'controller-manager', commonName: 'system:kube-controller-manager' },
    { file: 'scheduler', commonName: 'system:kube-scheduler' },
    { file: 'front-proxy', commonName: 'front-proxy' },
  ];
}

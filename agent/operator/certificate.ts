/** The agent's certificate: its key exists in memory only, and a new pair is asked for at half of its life. */
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { type ChannelCredentials, credentials, type ServiceError } from '@grpc/grpc-js';
import { BootstrapClient, type CertifyResponse } from '@weft/node-api';

export interface Identity {
  readonly credentials: ChannelCredentials;
  readonly ca: string;
  /** The published CA by which the operator was known when it issued this. */
  readonly verifiedBy: string;
  /** When to ask for the next one, ms since the epoch. */
  readonly renewAt: number;
}

export interface CertifyOptions {
  readonly target: string;
  readonly ca: string;
  readonly token: string;
  /** Who this node is; an answer for another is refused. */
  readonly node: string;
  readonly serverName: string;
  readonly timeoutMs?: number;
}

/** @throws Error with the operator's sentence */
export async function certify(options: CertifyOptions): Promise<Identity> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const response = await callCertify(options, {
    token: options.token,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    proof: sign('sha256', Buffer.from(`weft certify\n${options.token}`), privateKey),
  });
  if (response.node !== options.node) {
    throw new Error(`the operator takes this node for ${response.node}, --node-name says ${options.node}`);
  }
  const leaf = new X509Certificate(response.certificatePem);
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  const ca = response.caPem || options.ca;
  const key = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return {
    credentials: credentials.createSsl(Buffer.from(ca), key, Buffer.from(response.certificatePem)),
    ca,
    verifiedBy: options.ca,
    renewAt: from + (to - from) / 2,
  };
}

function callCertify(
  { target, ca, serverName, timeoutMs = 10_000 }: CertifyOptions,
  request: { token: string; publicKey: Buffer; proof: Buffer },
): Promise<CertifyResponse> {
  const client = new BootstrapClient(target, credentials.createSsl(Buffer.from(ca)), channelOptions(serverName));
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + timeoutMs;
    client.waitForReady(deadline, (unreachable) => {
      if (unreachable) {
        client.close();
        reject(new Error(`${target}: ${unreachable.message}`));
        return;
      }
      client.certify(request, (error: ServiceError | null, response: CertifyResponse) => {
        client.close();
        if (error) reject(new Error(`${target} refused a certificate: ${error.details || error.message}`));
        else resolve(response);
      });
    });
  });
}

/** The operator is dialled by address, its certificate carries a name. */
export function channelOptions(serverName: string) {
  return {
    'grpc.ssl_target_name_override': serverName,
    'grpc.default_authority': serverName,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.use_local_subchannel_pool': 1,
  };
}

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  BootstrapClient,
  type CertifyResponse,
  type NodeReport,
  NodeResource,
  nodeResourceType,
  type ReportAck,
  ReportsClient,
} from '@weft/node-api';
import { AdsClient, type ClientState } from '@weft/xds';

const channel = { 'grpc.ssl_target_name_override': 'weft-operator.weft-system.svc' };

export interface Keys {
  readonly privateKey: KeyObject;
  readonly publicKey: Buffer;
  readonly privatePem: Buffer;
}

export function newKeys(): Keys {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    privateKey,
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    privatePem: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/** Asks for a certificate as an agent does; rejects with the operator's gRPC error. */
export function certify(
  port: number,
  caPem: string,
  token: string,
  keys: Keys,
  proof?: Buffer,
): Promise<CertifyResponse> {
  const client = new BootstrapClient(`127.0.0.1:${port}`, credentials.createSsl(Buffer.from(caPem)), channel);
  const request = {
    token,
    publicKey: keys.publicKey,
    proof: proof ?? sign('sha256', Buffer.from(`weft certify\n${token}`), keys.privateKey),
  };
  return new Promise((resolve, reject) => {
    client.certify(request, (error: ServiceError | null, response: CertifyResponse) => {
      client.close();
      if (error) reject(error);
      else resolve(response);
    });
  });
}

type ReportStream = ClientDuplexStream<NodeReport, ReportAck>;

/** A light agent: holds what it is served, and reports what it is told to report. */
export class TestAgent {
  readonly resources = new Map<string, { readonly version: string; readonly resource: NodeResource }>();
  readonly states: ClientState[] = [];
  complete = false;
  batches = 0;
  /** Upserts and deletes of the last batch. */
  lastBatchSize = 0;
  readonly #node: string;
  readonly #ads: AdsClient;
  /** One to each replica. */
  readonly #reports: readonly { readonly client: ReportsClient; readonly stream: ReportStream }[];
  #automatic: boolean;
  /** What it says failed, by resource name. */
  readonly failures = new Map<string, string>();

  constructor(options: {
    readonly port: number;
    /** Ports of further replicas: resources come from any of them, reports go to all. */
    readonly others?: readonly number[];
    readonly certificate: CertifyResponse;
    readonly keys: Keys;
    /** What it says of itself; by default the truth. */
    readonly node?: string;
    /** Whether it reports what it holds by itself; by default true. */
    readonly automatic?: boolean;
  }) {
    const { port, certificate, keys } = options;
    const tls = credentials.createSsl(
      Buffer.from(certificate.caPem),
      keys.privatePem,
      Buffer.from(certificate.certificatePem),
    );
    this.#node = options.node ?? certificate.node;
    this.#automatic = options.automatic ?? true;
    const targets = [port, ...(options.others ?? [])].map((each) => `127.0.0.1:${each}`);
    this.#reports = targets.map((target) => {
      const client = new ReportsClient(target, tls, channel);
      const stream = client.report();
      stream.on('error', () => {});
      stream.on('data', () => {});
      return { client, stream };
    });
    this.#ads = new AdsClient({
      targets,
      credentials: () => tls,
      channelOptions: channel,
      node: { id: this.#node },
      subscriptions: [{ typeUrl: nodeResourceType }],
      onState: (state) => this.states.push(state),
      onBatch: ({ upserts, deletes, complete }) => {
        for (const { name, version, bytes } of upserts) {
          this.resources.set(name, { version, resource: NodeResource.decode(bytes) });
        }
        for (const name of deletes) this.resources.delete(name);
        this.batches++;
        this.lastBatchSize = upserts.length + deletes.length;
        this.complete ||= complete;
        if (this.#automatic) this.report();
      },
    });
    this.#ads.start();
  }

  /** Says in full what it holds. */
  report(): void {
    const names = [...this.resources.keys()].filter((name) => /^(policyset|endpoint)\//.test(name));
    const resources = [...new Set([...names, ...this.failures.keys()])].map((name) => ({
      name,
      version: this.failures.has(name) ? '' : (this.resources.get(name)?.version ?? ''),
      error: this.failures.get(name) ?? '',
    }));
    this.send({ full: true, agentVersion: 'test', resources, conditions: [], synced: this.complete });
  }

  send(report: NodeReport): void {
    for (const { stream } of this.#reports) if (stream.writable) stream.write(report);
  }

  /** From now on it reports by itself, or no more. */
  set automatic(value: boolean) {
    this.#automatic = value;
  }

  async stop(): Promise<void> {
    for (const { client, stream } of this.#reports) {
      stream.cancel();
      client.close();
    }
    await this.#ads.stop();
  }
}

import { Server, status } from '@grpc/grpc-js';
import { BootstrapService, ReportsService } from '@weft/node-api';
import { AdsServer, type AdsServerOptions, type Authorization, adsServerOptions, type ResourceCache } from '@weft/xds';
import { sleep, systemClock } from 'kopf-ts';
import { reportsService } from '../reports/service.ts';
import type { ReportStore } from '../reports/store.ts';
import { type BootstrapOptions, bootstrapService } from '../trust/bootstrap.ts';
import { peerOf } from '../trust/peer.ts';
import type { ServingCertificate } from '../trust/serving.ts';

export interface AgentServerOptions extends Pick<AdsServerOptions, 'onAnswer' | 'onStream'> {
  readonly bootstrap: BootstrapOptions;
  readonly certificate: ServingCertificate;
  readonly cache: ResourceCache;
  readonly reports: ReportStore;
  /** 0: any free one. */
  readonly port: number;
}

/** The one port that agents talk to: certificates, resources, reports. */
export class AgentServer {
  readonly ads: AdsServer;
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, ads: AdsServer, port: number) {
    this.#server = server;
    this.ads = ads;
    this.port = port;
  }

  /** @throws Error if the port is taken */
  static async start(options: AgentServerOptions): Promise<AgentServer> {
    const { bootstrap, cache, reports, onAnswer, onStream, port } = options;
    const { authority, now, log } = bootstrap;
    const peer = peerOf(authority, now);
    const server = new Server(adsServerOptions);
    const ads = new AdsServer({
      cache,
      ...(onAnswer === undefined ? {} : { onAnswer }),
      ...(onStream === undefined ? {} : { onStream }),
      authorize: (call, nodeId): Authorization => {
        const authorization = authorize(peer(call), nodeId);
        if ('refused' in authorization) log(`stream of ${call.getPeer()} refused: ${authorization.refused.details}`);
        return authorization;
      },
    });
    ads.addTo(server);
    server.addService(BootstrapService, bootstrapService(bootstrap));
    server.addService(ReportsService, reportsService({ store: reports, peerOf: peer, log }));
    const bound = await bind(server, port, options);
    return new AgentServer(server, ads, bound);
  }

  /** Lets updates under way be answered, then ends all streams, and connections that are left after `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    await this.ads.drain(timeoutMs);
    const closed = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    const force = setTimeout(() => this.#server.forceShutdown(), timeoutMs);
    const over = new AbortController();
    // A connection may linger even then: a process that ends need not wait for it.
    await Promise.race([closed, sleep(systemClock, 2 * timeoutMs, over.signal)]);
    over.abort();
    clearTimeout(force);
  }
}

/** The certificate decides which node's state a client gets; what the client says of itself must agree. */
function authorize(peer: { readonly node: string } | { readonly refused: string }, nodeId: string): Authorization {
  if ('refused' in peer) return { refused: { code: status.PERMISSION_DENIED, details: peer.refused } };
  if (peer.node === nodeId) return { view: peer.node };
  const details = `the certificate is of node ${peer.node}, and asks for node ${JSON.stringify(nodeId.slice(0, 253))}`;
  return { refused: { code: status.PERMISSION_DENIED, details } };
}

/** On all addresses of both families; of IPv4 alone where the host has no IPv6. */
async function bind(server: Server, port: number, options: AgentServerOptions): Promise<number> {
  try {
    return await bindTo(server, `[::]:${port}`, options);
  } catch (v6) {
    try {
      return await bindTo(server, `0.0.0.0:${port}`, options);
    } catch {
      throw v6;
    }
  }
}

function bindTo(server: Server, address: string, options: AgentServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, options.certificate.credentials(), (error, port) => {
      if (error) reject(new Error(`cannot listen on ${address}: ${error.message}`));
      else resolve(port);
    });
  });
}

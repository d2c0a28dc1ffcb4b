import { Server, type ServerOptions, status } from '@grpc/grpc-js';
import { BootstrapService, ReportsService } from '@weft/node-api';
import { AdsServer, type AdsServerOptions, type Authorization, adsServerOptions, type ResourceCache } from '@weft/xds';
import { type Clock, sleep, systemClock } from 'kopf-ts';
import { reportsService } from '../reports/service.ts';
import type { ReportStore } from '../reports/store.ts';
import { type BootstrapOptions, bootstrapService } from '../trust/bootstrap.ts';
import type { Peer } from '../trust/ca.ts';
import { peerOf } from '../trust/peer.ts';
import type { ServingCertificate } from '../trust/serving.ts';
import { type DoorLimits, door } from './door.ts';

export interface AgentServerOptions extends Pick<AdsServerOptions, 'onAnswer' | 'onStream'> {
  readonly bootstrap: BootstrapOptions;
  readonly certificate: ServingCertificate;
  readonly cache: ResourceCache;
  readonly reports: ReportStore;
  /** 0: any free one. */
  readonly port: number;
  readonly clock: Clock;
  readonly limits?: Partial<DoorLimits>;
}

/** A resuming agent names all that it holds, some 50 bytes each: room for 300,000 names. */
const MAX_MESSAGE = 16 << 20;

const serverOptions: ServerOptions = {
  ...adsServerOptions,
  'grpc.max_receive_message_length': MAX_MESSAGE,
  'grpc.max_concurrent_streams': 32,
  'grpc.max_connection_idle_ms': 60_000,
};

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
    const { bootstrap, cache, reports, onAnswer, onStream, port, clock, limits = {} } = options;
    const { authority, now, log } = bootstrap;
    const peer = peerOf(authority, now);
    const openPath = BootstrapService.certify.path;
    const interceptors = [door({ peerOf: peer, clock, log, openPath, limits })];
    const server = new Server({ ...serverOptions, interceptors });
    const ads = new AdsServer({
      cache,
      limits: { maxTypes: 4, maxNames: 500_000 },
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
function authorize(peer: Peer, nodeId: string): Authorization {
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

/** One Envoy below the real supervisor, in a network namespace of the benchmark, configured over ADS as by the agent. */
import { chmodSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { AdsServer, adsServerOptions, type Resource, ResourceCache } from '@weft/xds';
import { serveRecords } from 'bpf-loader-napi';
import { CLUSTER_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../../agent/envoy/resources.ts';
import { bootstrap } from '../../charts/envoy-bootstrap.ts';
import { EnvoyPod } from '../../datapath-native/testing/envoy-pod.ts';

const group = 1337;
const view = 'envoy';

export interface EnvoyOptions {
  readonly namespace: string;
  readonly program: string;
  /** Processors that it may use, as taskset has them. */
  readonly cores: string;
  /** Beside what it gets over ADS. */
  readonly static?: { readonly listeners: readonly object[]; readonly clusters: readonly object[] };
}

export class BenchEnvoy {
  readonly #pod = new EnvoyPod();
  readonly #cache = new ResourceCache();
  readonly #server = new Server(adsServerOptions);
  readonly #ads: AdsServer;
  readonly #wanted = new Map<string, Resource>();
  #records: { stop(): void } | undefined;
  #envoy = 0;
  /** Access records that arrived, and those that got lost on the way. */
  readonly recorded = { decoded: 0, lost: 0 };
  /** Of requests that Envoy itself failed: response flags and details. */
  readonly failures = new Set<string>();

  private constructor() {
    this.#cache.commit({ views: new Map([[view, {}]]) });
    this.#ads = new AdsServer({
      cache: this.#cache,
      authorize: () => ({ view }),
      typeOrder: [CLUSTER_TYPE, LISTENER_TYPE, ROUTE_TYPE],
      limits: { maxPartBytes: 1 },
    });
    this.#ads.addTo(this.#server);
  }

  static async start({ namespace, program, cores, static: fixed }: EnvoyOptions): Promise<BenchEnvoy> {
    const envoy = new BenchEnvoy();
    const pod = envoy.#pod;
    try {
      pod.program(program);
      const socket = join(pod.agentDir, 'xds.sock');
      await new Promise<void>((resolve, reject) =>
        envoy.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
          error ? reject(error) : resolve(),
        ),
      );
      chownSync(socket, 0, group);
      chmodSync(socket, 0o660);
      envoy.#records = serveRecords({ path: join(pod.agentDir, 'records.sock'), group }, (batch, lost) => {
        envoy.recorded.decoded += batch.length;
        envoy.recorded.lost += lost;
        for (const { status, flags, details } of batch) {
          if (status >= 500 || status === 0) envoy.failures.add(`${status} ${flags} ${details}`);
        }
      });
      await pod.agentUp(true);
      const base = bootstrap({ heapBytes: 1 << 30, connections: 50_000 }) as {
        static_resources: { clusters: object[] };
      };
      const own = base.static_resources;
      const config = {
        ...base,
        static_resources: {
          ...own,
          listeners: fixed?.listeners ?? [],
          clusters: [...own.clusters, ...(fixed?.clusters ?? [])],
        },
      };
      const wrap = ['nsenter', `--net=/run/netns/${namespace}`, 'taskset', '-c', cores];
      const capabilities = ['setpriv', '--bounding-set=-all,+net_raw,+setuid,+setgid', '--'];
      pod.start(15_021, config, [...wrap, ...capabilities], ['--concurrency=1']);
      envoy.#envoy = (await pod.state('running', 20_000)).pid ?? 0;
      return envoy;
    } catch (error) {
      await envoy.stop();
      throw error;
    }
  }

  /** Envoy's and its supervisor's. */
  get pids(): readonly number[] {
    return [this.#envoy, this.#pod.pid];
  }

  /** Tells it, without waiting. */
  put(resources: readonly Resource[]): void {
    for (const one of resources) this.#wanted.set(`${one.typeUrl} ${one.name}`, one);
    this.#cache.commit({ views: new Map([[view, { upserts: [...resources], deletes: [] }]]) });
  }

  /** Waits until it has accepted all that it was told. @throws Error with what it refused */
  async settled(): Promise<void> {
    await this.#pod.until('Envoy accepts its configuration', () => {
      const client = this.#ads.clients().at(-1);
      return [...this.#wanted.values()].every(({ typeUrl, name, version }) => {
        const standing = client?.standing(typeUrl, name);
        if (standing?.kind === 'rejected') throw new Error(`Envoy refuses ${name}: ${standing.reason}`);
        return standing?.kind === 'accepted' && standing.version === version;
      });
    });
  }

  async stop(): Promise<void> {
    this.#server.forceShutdown();
    this.#records?.stop();
    await this.#pod.stop();
  }
}

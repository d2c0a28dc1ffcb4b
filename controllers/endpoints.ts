import { isIPv6 } from 'node:net';
import { type Clock, type KubeClient, KubeError, type Lease, leaseKind, sleep } from 'kopf-ts';
import { asError } from './errors.ts';
import { type EndpointSlice, endpointSliceKind } from './kinds.ts';

/** Name of the EndpointSlice in which agents find the operator: no Service, no DNS. */
export const ENDPOINTS_NAME = 'weft-operator';
/** Marks the Leases by which replicas say that they are alive. */
const REPLICA_LABEL = 'weft.dev/replica-of';
/** Of a replica's Lease: the address that it stands for. */
const ADDRESS_ANNOTATION = 'weft.dev/address';

export interface EndpointsOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Unique among the replicas. */
  readonly identity: string;
  /** IP address under which agents reach this replica. */
  readonly address: string;
  readonly port: number;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** How often a replica says that it is alive, in milliseconds; by default 10,000. */
  readonly beatMs?: number;
  /** After how much silence the leader takes a replica for dead, in milliseconds; by default 40,000. */
  readonly deadMs?: number;
}

/**
 * Keeps the EndpointSlice that lists the replicas. Its list of endpoints is one value to the API server (server-side
 * apply can't merge it), so each replica adds itself by compare-and-swap and shows that it is alive by a Lease of its
 * own; the leader removes those that do so no more.
 */
export class OperatorEndpoints {
  readonly #options: EndpointsOptions;
  /** When each replica's Lease was seen to change, on our own monotonic clock. */
  readonly #seen = new Map<string, { readonly renewTime: string; readonly at: number }>();

  constructor(options: EndpointsOptions) {
    this.#options = options;
  }

  /** Lists this replica until `stopping` aborts, then takes it out. */
  async run(stopping: AbortSignal): Promise<void> {
    const { clock, beatMs = 10_000, log } = this.#options;
    while (!stopping.aborted) {
      let pause = beatMs;
      try {
        await this.#beat();
        await this.#change((addresses) => addresses.add(this.#options.address));
      } catch (thrown) {
        log(`endpoints: ${asError(thrown).message}`);
        pause = 1_000;
      }
      await sleep(clock, pause, stopping);
    }
    await this.#leave();
  }

  /** The leader's part: removes replicas that are silent for too long. */
  async sweep(stopping: AbortSignal): Promise<void> {
    const { clock, beatMs = 10_000, log } = this.#options;
    while (!stopping.aborted) {
      try {
        const alive = await this.#alive();
        await this.#change((addresses) => {
          for (const address of addresses) if (!alive.has(address)) addresses.delete(address);
        });
      } catch (thrown) {
        log(`endpoints: ${asError(thrown).message}`);
      }
      await sleep(clock, beatMs, stopping);
    }
  }

  get #leaseName(): string {
    return `weft-operator-${this.#options.identity}`;
  }

  async #beat(): Promise<void> {
    const { client, namespace, identity, address, clock, beatMs = 10_000 } = this.#options;
    const metadata = {
      namespace,
      name: this.#leaseName,
      labels: { [REPLICA_LABEL]: ENDPOINTS_NAME },
      annotations: { [ADDRESS_ANNOTATION]: address },
    };
    // metav1.MicroTime.
    const renewTime = new Date(clock.now()).toISOString().replace('Z', '000Z');
    const leaseDurationSeconds = Math.max(1, Math.ceil((4 * beatMs) / 1000));
    const spec = { holderIdentity: identity, leaseDurationSeconds, renewTime };
    await client.apply(leaseKind, { metadata, spec }, { fieldManager: 'weft-operator' });
  }

  /** Addresses of living replicas. A replica is silent only since we began to listen: clocks are not compared. */
  async #alive(): Promise<ReadonlySet<string>> {
    const { client, namespace, clock, deadMs = 40_000 } = this.#options;
    const leases = await client.list(leaseKind, { namespace, labelSelector: `${REPLICA_LABEL}=${ENDPOINTS_NAME}` });
    const now = clock.monotonic();
    const alive = new Set([this.#options.address]);
    const names = new Set<string>();
    for (const lease of leases) {
      const { name } = lease.metadata;
      names.add(name);
      const renewTime = lease.spec?.renewTime ?? '';
      const seen = this.#seen.get(name);
      if (seen?.renewTime !== renewTime) this.#seen.set(name, { renewTime, at: now });
      const silentMs = seen?.renewTime === renewTime ? now - seen.at : 0;
      if (silentMs < deadMs) alive.add(addressOf(lease));
      else await client.delete(leaseKind, { namespace, name });
    }
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    return alive;
  }

  async #leave(): Promise<void> {
    const { client, namespace, address, log } = this.#options;
    try {
      await this.#change((addresses) => addresses.delete(address));
      await client.delete(leaseKind, { namespace, name: this.#leaseName });
    } catch (thrown) {
      log(`endpoints: ${asError(thrown).message}`);
    }
  }

  /** Compare-and-swap: reads, changes, writes; again if somebody else wrote in between. */
  async #change(change: (addresses: Set<string>) => void): Promise<void> {
    const { client, namespace } = this.#options;
    for (let attempt = 0; attempt < 10; attempt++) {
      const found = await this.#read();
      const addresses = new Set(addressesOf(found));
      const before = [...addresses].sort().join();
      change(addresses);
      const next = this.#slice(addresses, found);
      if (found === undefined && addresses.size === 0) return;
      if (found !== undefined && before === [...addresses].sort().join() && samePort(found, next)) return;
      try {
        if (found === undefined) await client.create(endpointSliceKind, next);
        else if (found.addressType === next.addressType) await client.replace(endpointSliceKind, next);
        // The API server does not let an EndpointSlice change its family; the next round creates it anew.
        else await client.delete(endpointSliceKind, { namespace, name: ENDPOINTS_NAME });
        if (found === undefined || found.addressType === next.addressType) return;
      } catch (error) {
        if (!(error instanceof KubeError && (error.isConflict || error.isAlreadyExists || error.isNotFound)))
          throw error;
      }
    }
    throw new Error(`EndpointSlice ${namespace}/${ENDPOINTS_NAME}: others kept changing it`);
  }

  async #read(): Promise<EndpointSlice | undefined> {
    const { client, namespace } = this.#options;
    try {
      return await client.get(endpointSliceKind, { namespace, name: ENDPOINTS_NAME });
    } catch (error) {
      if (error instanceof KubeError && error.isNotFound) return undefined;
      throw error;
    }
  }

  #slice(addresses: ReadonlySet<string>, found: EndpointSlice | undefined): EndpointSlice {
    const { namespace, address, port } = this.#options;
    const version = found?.metadata.resourceVersion;
    // One slice has one family, and all replicas are given addresses of one; another family would make it invalid.
    const v6 = isIPv6(address);
    const sameFamily = [...addresses].filter((each) => isIPv6(each) === v6).sort();
    return {
      metadata: {
        namespace,
        name: ENDPOINTS_NAME,
        labels: { 'endpointslice.kubernetes.io/managed-by': 'weft-operator' },
        ...(version === undefined ? {} : { resourceVersion: version }),
      },
      addressType: v6 ? 'IPv6' : 'IPv4',
      endpoints: sameFamily.map((each) => ({ addresses: [each], conditions: { ready: true } })),
      ports: [{ name: 'grpc', port, protocol: 'TCP' }],
    };
  }
}

function addressOf(lease: Lease): string {
  return lease.metadata.annotations?.[ADDRESS_ANNOTATION] ?? '';
}

function addressesOf(slice: EndpointSlice | undefined): string[] {
  return slice?.endpoints?.flatMap((endpoint) => endpoint.addresses) ?? [];
}

function samePort(a: EndpointSlice, b: EndpointSlice): boolean {
  return a.addressType === b.addressType && a.ports?.[0]?.port === b.ports?.[0]?.port;
}

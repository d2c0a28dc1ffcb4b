/** Gives pods their network and takes it away: what ADD, DEL, CHECK and GC do. */
import type { Endpoint } from '@weft/node-api';
import type { Datapath, Link } from 'bpf-loader-napi';
import { CNI, CniError, type CniReply, type CniRequest, type ContainerKey, type PodName } from '../cni/request.ts';
import { messageOf } from '../lib/errors.ts';
import type { LocalPod, ProxyDevice } from '../state/pod.ts';
import { hex64 } from '../tables/hash.ts';
import { type Attachment, attachmentKey, type Registry } from './registry.ts';

type Request<C extends CniRequest['command']> = Extract<CniRequest, { command: C }>;

export interface PodTables {
  endpoint(uid: string): Endpoint | undefined;
  endpoints(): Iterable<Endpoint>;
  enforceable(endpoint: Endpoint): boolean;
  addPod(pod: LocalPod): Promise<void>;
  removePod(slot: number): Promise<void>;
}

export interface PodsOptions {
  readonly registry: Registry;
  readonly tables: PodTables;
  readonly datapath: Pick<Datapath, 'attachPod' | 'attachPods' | 'attachProxy' | 'detachPod' | 'attachedPods'>;
  readonly podCidrs: () => readonly string[];
  readonly mtu: number;
  /** Runs a task when no other change of the node's state is under way. */
  readonly exclusive: <T>(task: () => Promise<T>) => Promise<T>;
  /** How long ADD waits for the operator to name the pod and its policy; default 15 s. */
  readonly waitMs?: number;
  readonly now?: () => number;
  readonly onAdded?: (pod: LocalPod) => void;
  readonly onRemoved?: (pod: LocalPod) => void;
}

export class Pods {
  readonly #options: PodsOptions;
  readonly #now: () => number;
  #waiters = new Set<() => void>();

  constructor(options: PodsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** To be called when the node's state changed: an ADD may have waited for it. */
  changed(): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  /** Answers once the pod's identity and policy are in the kernel: a pod has its policy before it has a network. */
  async add(request: Request<'ADD'>): Promise<CniReply> {
    const endpoint = await this.#awaitEndpoint(request.pod);
    const { registry, tables, datapath } = this.#options;
    return this.#options.exclusive(async () => {
      const fresh = registry.get(request) === undefined;
      const attachment = this.#register(request, endpoint);
      try {
        await datapath.attachPod(attachment.ifindex);
        if (attachment.proxy) await this.#attachProxy(attachment.ifindex, attachment.proxy);
        await tables.addPod(attachment);
      } catch (error) {
        if (fresh) await this.#remove(attachment);
        throw new CniError(CNI.refused, `pod ${podText(request.pod)} got no network: ${messageOf(error)}`);
      }
      this.#options.onAdded?.(attachment);
      const proxy = attachment.proxy === undefined ? {} : ({ proxy: true } as const);
      return { ok: true, addresses: addressesOf(attachment), mtu: this.#options.mtu, ...proxy };
    });
  }

  async delete(key: ContainerKey): Promise<CniReply> {
    await this.#options.exclusive(async () => {
      const attachment = this.#options.registry.get(key);
      if (attachment) await this.#remove(attachment);
    });
    return { ok: true };
  }

  async check(request: Request<'CHECK'>): Promise<CniReply> {
    const attachment = this.#options.registry.get(request);
    if (attachment === undefined)
      throw new CniError(CNI.refused, `container ${request.containerId} has no network here`);
    const known = new Set(addressesOf(attachment));
    const other = request.addresses.find((address) => !known.has(address));
    if (other !== undefined) {
      throw new CniError(CNI.refused, `container ${request.containerId} has ${[...known].join(', ')}, not ${other}`);
    }
    const attached = await this.#options.datapath.attachedPods();
    if (!attached.includes(attachment.ifindex)) {
      throw new CniError(CNI.refused, `no programs are attached to ${attachment.hostIfName}`);
    }
    return { ok: true };
  }

  /** Drops attachments that the runtime does not know. */
  async collect(valid: readonly ContainerKey[]): Promise<CniReply> {
    const keep = new Set(valid.map(attachmentKey));
    await this.#options.exclusive(async () => {
      for (const attachment of this.#options.registry.all()) {
        if (!keep.has(attachmentKey(attachment))) await this.#remove(attachment);
      }
    });
    return { ok: true };
  }

  /** Drops attachments whose device is gone: deleted while the agent was down. Pins of unknown devices go too. */
  async removeStale(links: readonly Link[]): Promise<Attachment[]> {
    const { registry, datapath } = this.#options;
    const stale = registry.all().filter((at) => !isPresent(at, links));
    for (const attachment of stale) await this.#remove(attachment);
    const known = new Set(registry.all().map(({ ifindex }) => ifindex));
    for (const ifindex of await datapath.attachedPods()) {
      if (!known.has(ifindex)) await datapath.detachPod(ifindex);
    }
    await datapath.attachPods([...known]);
    return stale;
  }

  /** Gives the proxies that an earlier life left their program again. @returns sentences on those that failed */
  async attachProxies(): Promise<string[]> {
    const problems: string[] = [];
    for (const { ifindex, proxy, namespace, name } of this.#options.registry.all()) {
      if (proxy === undefined) continue;
      await this.#attachProxy(ifindex, proxy).catch((error: unknown) =>
        problems.push(`pod ${namespace}/${name} can't serve as proxy: ${messageOf(error)}`),
      );
    }
    return problems;
  }

  #attachProxy(ifindex: number, { netns, ifName }: ProxyDevice): Promise<void> {
    // Runtimes name it by the link that /var/run is on a host; the agent's root has none.
    return this.#options.datapath.attachProxy(ifindex, netns.replace(/^\/var\/run\//, '/run/'), ifName);
  }

  #register(request: Request<'ADD'>, { uid, proxy }: Endpoint): Attachment {
    const { containerId, ifName, hostIfIndex, hostIfName, netns, pod } = request;
    const wanted = { containerId, ifName, hostIfName, ifindex: hostIfIndex, namespace: pod.namespace, name: pod.name };
    try {
      const device = proxy ? { proxy: { netns, ifName } } : {};
      return this.#options.registry.add({ ...wanted, uid, ...device }, this.#options.podCidrs(), this.#now());
    } catch (error) {
      throw new CniError(CNI.tryAgain, `pod ${podText(pod)} got no address: ${messageOf(error)}`);
    }
  }

  async #remove(attachment: Attachment): Promise<void> {
    const { registry, tables, datapath } = this.#options;
    await tables.removePod(attachment.slot);
    await datapath.detachPod(attachment.ifindex);
    registry.remove(attachment, this.#now());
    this.#options.onRemoved?.(attachment);
  }

  async #awaitEndpoint(pod: PodName): Promise<Endpoint> {
    const waitMs = this.#options.waitMs ?? 15_000;
    const deadline = this.#now() + waitMs;
    for (;;) {
      const endpoint = this.#find(pod);
      if (endpoint && this.#options.tables.enforceable(endpoint)) return endpoint;
      const left = deadline - this.#now();
      if (left <= 0) {
        const what = endpoint
          ? `its policy set ${hex64(endpoint.policySet)} is not in the kernel`
          : 'the operator has not named it to this node';
        throw new CniError(CNI.tryAgain, `pod ${podText(pod)} gets no network: ${what} (waited ${waitMs / 1000} s)`);
      }
      await this.#nextChange(left);
    }
  }

  #nextChange(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(wake, timeoutMs);
      function wake(): void {
        clearTimeout(timer);
        resolve();
      }
      this.#waiters.add(wake);
    });
  }

  #find({ namespace, name, uid }: PodName): Endpoint | undefined {
    if (uid !== '') {
      const endpoint = this.#options.tables.endpoint(uid);
      // The runtime's word on the uid counts only together with the name.
      return endpoint?.namespace === namespace && endpoint.name === name ? endpoint : undefined;
    }
    const found = [...this.#options.tables.endpoints()].filter((e) => e.namespace === namespace && e.name === name);
    // Two pods of one name: the older one is on its way out, and nobody says which this is.
    return found.length === 1 ? found[0] : undefined;
  }
}

const podText = ({ namespace, name }: PodName): string => `${namespace}/${name}`;

export function addressesOf({ ipv4, ipv6 }: LocalPod): string[] {
  return [ipv4 === undefined ? [] : `${ipv4}/32`, ipv6 === undefined ? [] : `${ipv6}/128`].flat();
}

function isPresent({ ifindex, hostIfName }: Attachment, links: readonly Link[]): boolean {
  return links.some(({ index, name }) => index === ifindex && name === hostIfName);
}

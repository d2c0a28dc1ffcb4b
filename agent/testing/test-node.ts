/** A node's tables and its part for Envoy, on a model of the kernel and real sockets, for tests. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeResource } from '@weft/node-api';
import { NodeEnvoy, type ProxyPod } from '../envoy/envoy.ts';
import { ListenerPorts } from '../envoy/ports.ts';
import { Journal } from '../state/journal.ts';
import { ResourceStore, type Upsert } from '../state/store.ts';
import { NodeTables, type Outcome } from '../state/tables.ts';
import type { Resource } from '../tables/resource.ts';
import { FakeEnvoy, FakeSupervisor } from './envoy.ts';
import { ModelTables, modelDatapath } from './model.ts';
import { endpoint } from './resources.ts';
import { scratchDirectory } from './scratch.ts';

export class TestNode {
  readonly dir = scratchDirectory();
  readonly model = new ModelTables();
  readonly store = new ResourceStore();
  ports = this.#loadedPorts();
  readonly proxies: ProxyPod[] = [];
  readonly reported: Outcome[] = [];
  readonly problems: (string | undefined)[] = [];
  envoy: NodeEnvoy;
  tables: NodeTables;
  readonly fakes: { stop(): void }[] = [];
  readonly #journal = Journal.open(join(this.dir, 'state.bin'), this.store).journal;
  readonly #patienceMs: number;
  #version = 0;

  constructor({ patienceMs }: { readonly patienceMs: number }) {
    this.#patienceMs = patienceMs;
    [this.envoy, this.tables] = this.#make();
  }

  async start(): Promise<this> {
    await this.tables.start(this.tables.pods, false);
    await this.envoy.start();
    return this;
  }

  /** As an agent that was killed and finds everything on disk and in the kernel. */
  async restart(): Promise<void> {
    this.envoy.stop();
    const { pods } = this.tables;
    this.ports = this.#loadedPorts();
    [this.envoy, this.tables] = this.#make();
    await this.tables.start(pods, true);
    await this.envoy.start();
  }

  async batch(resources: readonly [string, Resource][], deletes: readonly string[] = []): Promise<Outcome[]> {
    this.#version++;
    const upserts = resources.map(([name, resource]): Upsert => {
      return { name, version: `v${this.#version}`, bytes: NodeResource.encode({ resource }).finish() };
    });
    return this.tables.applyBatch(upserts, deletes);
  }

  /** A proxy pod with its network. */
  async plainPod(slot: number): Promise<string> {
    const uid = `uid-${slot}`;
    this.proxies.push({ slot, uid, name: `weft-envoy-${slot}` });
    const proxy = { netns: '/run/netns/x', ifName: 'eth0' };
    await this.batch([endpoint(uid, 'weft-envoy', 0n, 1n, true)]);
    await this.tables.addPod({ slot, ifindex: 10 + slot, uid, namespace: 'weft-system', name: 'weft-envoy', proxy });
    return uid;
  }

  /** A proxy pod with its network, a supervisor and an Envoy that runs. */
  async pod(slot: number): Promise<{ supervisor: FakeSupervisor; envoy: FakeEnvoy }> {
    const uid = await this.plainPod(slot);
    const dir = join(this.dir, 'envoy');
    const supervisor = new FakeSupervisor(dir, uid);
    const envoy = new FakeEnvoy(dir, uid);
    supervisor.say('running');
    this.fakes.push(supervisor, envoy);
    await until(() => this.envoy.status().pods.some((pod) => pod.uid === uid && pod.state === 'running'));
    return { supervisor, envoy };
  }

  #loadedPorts(): ListenerPorts {
    const ports = new ListenerPorts(join(this.dir, 'ports.json'), [20_000, 20_999]);
    ports.load();
    return ports;
  }

  #make(): [NodeEnvoy, NodeTables] {
    const envoy = new NodeEnvoy({
      dir: join(this.dir, 'envoy'),
      group: process.getgid?.() ?? 0,
      store: this.store,
      ports: this.ports,
      proxies: () => this.proxies,
      ipv6: () => true,
      current: () => tables.proxy,
      point: (slot) => tables.setProxy(slot),
      onOutcomes: (outcomes) => this.reported.push(...outcomes),
      onProblem: (problem) => this.problems.push(problem),
      onProgress: () => {},
      log: () => {},
      keepMs: 150,
      patienceMs: this.#patienceMs,
      quietMs: 100,
    });
    const datapath = modelDatapath(this.model);
    const { store } = this;
    const tables: NodeTables = new NodeTables({
      node: 'n1',
      store,
      journal: this.#journal,
      datapath,
      listeners: envoy,
    });
    return [envoy, tables];
  }

  proxyRows() {
    return this.model.rows('policy').flatMap((row) => (row.table === 'policy' && row.proxyPort ? [row.proxyPort] : []));
  }

  stop(): void {
    for (const fake of this.fakes) fake.stop();
    this.envoy.stop();
  }
}

/** Waits up to 10 s for a condition. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${condition}`);
    await sleep(2);
  }
}

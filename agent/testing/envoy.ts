/** An Envoy and its supervisor for tests: the real protocols on the real sockets, and answers that the test chooses. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { DeltaDiscoveryResponse } from '@envoyproxy/xds-protos/envoy/service/discovery/v3/discovery.ts';
import { RawClient } from '../../packages/xds/src/testing/loopback.ts';
import { CLUSTER_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../envoy/resources.ts';
import { readLines } from '../lib/lines.ts';

/** Takes what it is sent as Envoy does: each response by itself, routes once it has the listener of their name. */
export class FakeEnvoy {
  /** What it has: name → bytes, by type. */
  readonly held: Readonly<Record<string, Map<string, Uint8Array>>> = {
    [CLUSTER_TYPE]: new Map(),
    [LISTENER_TYPE]: new Map(),
    [ROUTE_TYPE]: new Map(),
  };
  /** Why it refuses a resource. */
  refuses: (name: string) => string | undefined = () => undefined;
  /** Keeps answers back. */
  silent = false;
  readonly #client: RawClient;

  constructor(dir: string, uid: string) {
    this.#client = new RawClient(`unix:${join(dir, 'xds.sock')}`, uid);
    this.#client.call.on('data', (response: DeltaDiscoveryResponse) => {
      if (!this.silent) this.#take(response);
    });
    for (const typeUrl of [CLUSTER_TYPE, LISTENER_TYPE]) this.#client.send({ typeUrl, resourceNamesSubscribe: ['*'] });
  }

  /** Why its stream was refused. */
  get error(): string | undefined {
    return this.#client.error?.details;
  }

  /** Names that it has of a type. */
  names(typeUrl: string): string[] {
    return [...(this.held[typeUrl]?.keys() ?? [])].sort();
  }

  stop(): void {
    this.#client[Symbol.dispose]();
  }

  #take(response: DeltaDiscoveryResponse): void {
    const held = this.held[response.typeUrl];
    const reason = response.resources.map(({ name }) => this.refuses(name)).find((one) => one !== undefined);
    this.#client.answer(response, reason);
    if (reason !== undefined) return;
    for (const name of response.removedResources) held?.delete(name);
    for (const { name, resource } of response.resources) {
      held?.set(name, resource?.value ?? new Uint8Array());
      if (response.typeUrl === LISTENER_TYPE)
        this.#client.send({ typeUrl: ROUTE_TYPE, resourceNamesSubscribe: [name] });
    }
  }
}

export class FakeSupervisor {
  /** What it was told, in order. */
  readonly told: unknown[] = [];
  readonly #socket: Socket;
  readonly #uid: string;

  constructor(dir: string, uid: string) {
    this.#uid = uid;
    this.#socket = connect(join(dir, 'supervisor.sock')).on('error', () => {});
    readLines(
      this.#socket,
      65_536,
      (line) => this.told.push(JSON.parse(line)),
      () => {},
    );
  }

  say(state: string, more: Readonly<Record<string, unknown>> = {}): void {
    this.#socket.write(`${JSON.stringify({ pod: this.#uid, envoy: '1.40.0', state, restarts: 0, ...more })}\n`);
  }

  stop(): void {
    this.#socket.destroy();
  }
}

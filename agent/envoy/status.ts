/** What the control socket says of this node's Envoys. Pure. */
import { hex64 } from '../tables/hash.ts';
import type { Completeness, ListenerVerdict } from './config.ts';
import type { ProxyView } from './proxies.ts';
import { namesOfListener } from './resources.ts';

export interface EnvoyStatus {
  /** The node holds listeners for an Envoy. */
  readonly wanted: boolean;
  readonly pods: readonly {
    readonly name: string;
    readonly uid: string;
    readonly slot: number;
    /** New connections go here. */
    readonly current: boolean;
    /** What its supervisor says; disconnected: nothing. */
    readonly state: string;
    readonly version: string;
    readonly pid: number | null;
    readonly restarts: number;
    readonly error: string;
    readonly configuration: Completeness | 'disconnected';
  }[];
  readonly listeners: readonly {
    readonly id: string;
    readonly port: number;
    /** At the current pod. Absent: the operator has sent no such listener. Unknown: there is no current pod. */
    readonly state: ListenerVerdict['kind'] | 'unknown';
    readonly error: string;
  }[];
}

export interface StatusInput {
  readonly wanted: boolean;
  readonly proxies: readonly (ProxyView & { readonly name: string })[];
  readonly current: number | undefined;
  readonly ports: readonly { readonly id: bigint; readonly port: number }[];
  readonly verdict: (listener: bigint) => ListenerVerdict | undefined;
  /** By the store's name. */
  readonly errors: ReadonlyMap<string, string>;
}

export function statusOf({ wanted, proxies, current, ports, verdict, errors }: StatusInput): EnvoyStatus {
  return {
    wanted,
    pods: proxies.map(({ name, uid, slot, supervisor, config }) => ({
      name,
      uid,
      slot,
      current: slot === current,
      state: supervisor?.state ?? 'disconnected',
      version: supervisor?.envoy ?? '',
      pid: supervisor?.pid ?? null,
      restarts: supervisor?.restarts ?? 0,
      error: supervisor?.error ?? '',
      configuration: config ?? 'disconnected',
    })),
    listeners: ports.map(({ id, port }) => ({
      id: hex64(id),
      port,
      state: verdict(id)?.kind ?? 'unknown',
      error: namesOfListener(id)
        .flatMap((name) => errors.get(name) ?? [])
        .join('; '),
    })),
  };
}

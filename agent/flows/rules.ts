/** What the numbers of rules in events meant when the event happened. */
import type { HttpMatch, PolicyEntry, PolicyRef, PolicySet, Rule } from '@weft/node-api';

export interface RuleName {
  readonly policy: string;
  readonly direction: 'ingress' | 'egress';
  readonly index: number;
  readonly deny: boolean;
  readonly reason?: string;
}

/** What Envoy enforces for some peers and ports of the pods of a policy set. */
export interface HttpListener {
  readonly id: bigint;
  readonly set: bigint;
  /** A request is allowed if one of their matches fits. */
  readonly rules: readonly (RuleName & { readonly http: readonly HttpMatch[] })[];
}

type EntryKey = Pick<PolicyEntry, 'direction' | 'class' | 'port' | 'portBits'> & { readonly protocol: number };

interface Version {
  readonly since: number;
  readonly set:
    | (Pick<PolicySet, 'rules' | 'listeners' | 'ingressDefaultDeny' | 'egressDefaultDeny'> & {
        /** Those that a listener stands behind. */
        readonly proxied: readonly PolicyEntry[];
      })
    | undefined;
}

/** Outdated tables are kept for events this old, in ms. */
const KEEP_MS = 3_600_000;
const KEEP_VERSIONS = 16;

export class RuleTables {
  readonly #versions = new Map<bigint, Version[]>();
  readonly #temporary = new Map<bigint, bigint>();

  /** Notes what a set says from now on; undefined: it is gone. */
  record(id: bigint, set: PolicySet | undefined, now: number): void {
    const kept = set && {
      rules: set.rules,
      listeners: set.listeners,
      proxied: set.entries.filter(({ listener }) => listener !== 0n),
      ingressDefaultDeny: set.ingressDefaultDeny,
      egressDefaultDeny: set.egressDefaultDeny,
    };
    const versions = this.#versions.get(id) ?? [];
    versions.push({ since: now, set: kept });
    // The one in force at the horizon is still needed.
    while (versions.length > KEEP_VERSIONS || (versions[1] && versions[1].since < now - KEEP_MS)) versions.shift();
    this.#versions.set(id, versions);
    this.#prune(now);
  }

  /** A set that pods have for a moment while another changes. */
  alias(temporary: bigint, set: bigint): void {
    this.#temporary.set(temporary, set);
  }

  rule(id: bigint, index: number, time: number): RuleName | undefined {
    const rule = this.#at(id, time)?.rules[index];
    return rule && nameRule(rule);
  }

  /** Policies whose selection of the pod denied what nothing allowed. */
  defaultDeny(id: bigint, direction: 'ingress' | 'egress', time: number): string[] {
    const set = this.#at(id, time);
    return (direction === 'ingress' ? set?.ingressDefaultDeny : set?.egressDefaultDeny)?.map(policyText) ?? [];
  }

  /** The listener behind an entry of a set as the kernel has it; undefined: no version of the set has such an entry. */
  listenerOf(id: bigint, entry: EntryKey, time: number): HttpListener | undefined {
    const found = this.#at(id, time)?.proxied.find(
      (one) =>
        one.direction === entry.direction &&
        one.class === entry.class &&
        one.protocol === entry.protocol &&
        one.port === entry.port &&
        one.portBits === entry.portBits,
    );
    return found && this.#listener(id, found.listener, time);
  }

  /** A listener by its id, in whichever set it is: its rules are the same in all. */
  listener(listener: bigint, time: number): HttpListener | undefined {
    for (const id of this.#versions.keys()) {
      const found = this.#listener(id, listener, time);
      if (found) return found;
    }
    return undefined;
  }

  #listener(id: bigint, listener: bigint, time: number): HttpListener | undefined {
    const set = this.#at(id, time);
    const found = set?.listeners.find((one) => one.id === listener);
    if (set === undefined || found === undefined) return undefined;
    const rules = found.rules.flatMap((index) => {
      const rule = set.rules[index];
      return rule ? [{ ...nameRule(rule), http: rule.http }] : [];
    });
    return { id: listener, set: id, rules };
  }

  #at(id: bigint, time: number): Version['set'] {
    const versions = this.#versions.get(this.#temporary.get(id) ?? id) ?? [];
    // Events carry the kernel's time, which may be a little before the change was noted here.
    const current = versions.findLast(({ since, set }) => set !== undefined && since <= time);
    return (current ?? versions.find(({ set }) => set !== undefined))?.set;
  }

  #prune(now: number): void {
    for (const [id, versions] of this.#versions) {
      const last = versions.at(-1);
      if (last && last.set === undefined && last.since < now - KEEP_MS) this.#versions.delete(id);
    }
  }
}

/** "CiliumNetworkPolicy/shop/api-from-frontend", "CiliumClusterwideNetworkPolicy/cluster-only". */
export function policyText({ kind, namespace, name }: PolicyRef): string {
  return [kind, namespace, name].filter((part) => part !== '').join('/');
}

function nameRule({ policy, direction, index, deny, reason }: Rule): RuleName {
  return {
    policy: policy ? policyText(policy) : '',
    direction: direction === 0 ? 'ingress' : 'egress',
    index,
    deny,
    ...(reason === '' ? {} : { reason }),
  };
}

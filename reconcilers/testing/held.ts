/** What agents would hold: the sum of outputs, and how the datapath reads it. */
import { ClusterLoadAssignment } from '@envoyproxy/xds-protos/envoy/config/endpoint/v3/endpoint.ts';
import { RouteConfiguration } from '@envoyproxy/xds-protos/envoy/config/route/v3/route.ts';
import type { HeaderMatcher, Route } from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import { Direction, NodeResource, Verdict } from '@weft/node-api';
import type { HttpRequest } from '../http/match.ts';
import { addressBytes } from '../net/address.ts';
import type { Output, PolicyState, ResourceChanges, RouteVerdict } from '../output.ts';

export class Held {
  readonly shared = new Map<string, NodeResource>();
  readonly views = new Map<string, Map<string, NodeResource>>();
  readonly policies = new Map<string, PolicyState>();
  readonly routes = new Map<string, RouteVerdict>();

  apply(output: Output): this {
    merge(this.shared, output.shared);
    for (const [node, changes] of output.views) {
      const view = this.views.get(node) ?? new Map();
      merge(view, changes);
      if (view.size === 0) this.views.delete(node);
      else this.views.set(node, view);
    }
    for (const [key, state] of output.policies) {
      if (state === undefined) this.policies.delete(key);
      else this.policies.set(key, { ...state, sets: new Map(state.sets) });
    }
    for (const [key, verdict] of output.routes) {
      if (verdict === undefined) this.routes.delete(key);
      else this.routes.set(key, verdict);
    }
    return this;
  }

  /** What the node holds: its view hides shared resources of the same name. */
  node(name: string): Map<string, NodeResource> {
    return new Map([...this.shared, ...(this.views.get(name) ?? [])]);
  }

  /** Sorted and comparable. */
  dump(): unknown {
    const resources = (map: ReadonlyMap<string, NodeResource>) =>
      [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, resource]) => [name, NodeResource.toJSON(resource)]);
    return {
      shared: resources(this.shared),
      routes: [...this.routes].sort(([a], [b]) => (a < b ? -1 : 1)),
      views: [...this.views].sort(([a], [b]) => (a < b ? -1 : 1)).map(([node, view]) => [node, resources(view)]),
      policies: [...this.policies]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, state]) => [
          key,
          { ...state, ref: show(state.ref), ineffective: state.ineffective.map(show), sets: [...state.sets].sort() },
        ]),
    };
  }
}

function show(value: object): unknown {
  return JSON.parse(JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner)));
}

/** @throws Error where an update deletes what is not there: agents would be told of nothing */
function merge(map: Map<string, NodeResource>, { upserts, deletes }: ResourceChanges): void {
  for (const name of deletes) if (!map.delete(name)) throw new Error(`${name} is deleted but was never there`);
  for (const [name, resource] of upserts) map.set(name, resource);
}

/** The class of an address by longest prefix match, as weft_addresses gives it. */
export function classOf(held: ReadonlyMap<string, NodeResource>, address: string): bigint | undefined {
  const wanted = addressBytes(address);
  let best: { length: number; class: bigint } | undefined;
  for (const { resource } of held.values()) {
    if (resource?.$case !== 'address' || wanted === undefined || resource.value.prefix === undefined) continue;
    const { address: bytes, length } = resource.value.prefix;
    if (bytes.length === wanted.length && samePrefix(bytes, wanted, length) && length >= (best?.length ?? 0)) {
      best = { length, class: resource.value.class };
    }
  }
  return best?.class;
}

function samePrefix(a: Buffer, b: Buffer, length: number): boolean {
  const bits = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`) >> BigInt(bytes.length * 8 - length);
  return bits(a) === bits(b);
}

export interface Evaluation {
  /** `proxy`: Envoy decides, behind `listener`. */
  readonly verdict: 'allow' | 'deny' | 'proxy';
  /** As `key index deny`, or undefined. */
  readonly rule: { readonly policy: string; readonly index: number; readonly deny: boolean } | undefined;
  readonly listener?: bigint;
}

/** The verdict of a policy set by longest prefix match on protocol and port, as weft_policy gives it. */
export function evaluate(
  held: ReadonlyMap<string, NodeResource>,
  set: bigint,
  direction: 'ingress' | 'egress',
  peer: bigint,
  protocol: number,
  port: number,
): Evaluation {
  const found = held.get(`policyset/${set.toString(16).padStart(16, '0')}`)?.resource;
  if (set === 0n) return { verdict: 'allow', rule: undefined };
  if (found?.$case !== 'policySet') throw new Error(`the policy set ${set} is not there`);
  const wanted = direction === 'ingress' ? Direction.DIRECTION_INGRESS : Direction.DIRECTION_EGRESS;
  const matching = found.value.entries.filter(
    (entry) =>
      entry.direction === wanted &&
      entry.class === peer &&
      (entry.protocol === 0 || entry.protocol === protocol) &&
      entry.port >> (16 - entry.portBits) === port >> (16 - entry.portBits),
  );
  const bits = (entry: { protocol: number; portBits: number }): number => (entry.protocol === 0 ? -1 : entry.portBits);
  const [entry] = matching.sort((a, b) => bits(b) - bits(a));
  const enforced = (set & (direction === 'ingress' ? 1n : 2n)) !== 0n;
  if (entry === undefined) return { verdict: enforced ? 'deny' : 'allow', rule: undefined };
  const rule = found.value.rules[entry.rule];
  const ref = rule?.policy;
  if (rule === undefined || ref === undefined) throw new Error('an entry points at no rule');
  const policy = [ref.kind, ref.namespace, ref.name].filter((part) => part !== '').join('/');
  const shown = { policy, index: rule.index, deny: rule.deny };
  if (entry.verdict === Verdict.VERDICT_PROXY) return { verdict: 'proxy', rule: shown, listener: entry.listener };
  return { verdict: entry.verdict === Verdict.VERDICT_ALLOW ? 'allow' : 'deny', rule: shown };
}

export function routesIn(configuration: Uint8Array): Route[] {
  return RouteConfiguration.decode(configuration).virtualHosts.flatMap(({ routes }) => routes);
}

/** As `10.0.0.1 8080`, of a ClusterLoadAssignment. */
export function backendsIn(assignment: Uint8Array): string[] {
  return ClusterLoadAssignment.decode(assignment).endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.map(({ hostIdentifier: host }) => {
      const at = host?.$case === 'endpoint' ? host.value.address?.address : undefined;
      if (at?.$case !== 'socketAddress' || at.value.portSpecifier?.$case !== 'portValue') return '?';
      return `${at.value.address} ${at.value.portSpecifier.value}`;
    }),
  );
}

/** As `Kind/namespace/name#ingress[0]`. */
export function rulesBehind(held: ReadonlyMap<string, NodeResource>, set: bigint, listener: bigint): string[] {
  const found = held.get(`policyset/${set.toString(16).padStart(16, '0')}`)?.resource;
  if (found?.$case !== 'policySet') throw new Error(`the policy set ${set} is not there`);
  const { listeners, rules } = found.value;
  const behind = listeners.find(({ id }) => id === listener)?.rules ?? [];
  return behind.map((index) => {
    const rule = rules[index];
    if (rule?.policy === undefined) throw new Error('a listener points at no rule');
    const { kind, namespace, name } = rule.policy;
    const direction = rule.direction === Direction.DIRECTION_INGRESS ? 'ingress' : 'egress';
    return `${[kind, namespace, name].filter((part) => part !== '').join('/')}#${direction}[${rule.index}]`;
  });
}

/** The name of the route that Envoy takes for a request. */
export function routeOf(
  held: ReadonlyMap<string, NodeResource>,
  listener: bigint,
  request: HttpRequest,
): string | undefined {
  const { method, path, host } = request;
  const headers = new Map(Object.entries({ ...request.headers, ':method': method, ':path': path, ':authority': host }));
  const name = `l7/${listener.toString(16).padStart(16, '0')}`;
  for (const kind of ['listener', 'route']) {
    if (!held.has(`envoy/${kind}/${name}`)) throw new Error(`the ${kind} ${name} is not there`);
  }
  const resource = held.get(`envoy/route/${name}`)?.resource;
  const routes = resource?.$case === 'envoy' ? routesIn(resource.value.value) : [];
  const route = routes.find(({ match }) => match?.headers.every((matcher) => matchesHeader(matcher, headers)));
  const to = route?.action?.$case === 'route' ? route.action.value.clusterSpecifier : undefined;
  if (to?.$case === 'cluster' && !held.has(`envoy/cluster/${to.value}`)) throw new Error(`no cluster ${to.value}`);
  return route?.name;
}

/** JavaScript's regular expressions, so that this is a second opinion. */
function matchesHeader(matcher: HeaderMatcher, headers: ReadonlyMap<string, string>): boolean {
  const value = headers.get(matcher.name);
  if (matcher.headerMatchSpecifier?.$case !== 'stringMatch') return value !== undefined;
  const pattern = matcher.headerMatchSpecifier.value.matchPattern;
  if (value === undefined || pattern === undefined) return false;
  if (pattern.$case === 'safeRegex') return new RegExp(`^(?:${pattern.value.regex})$`, 'u').test(value);
  return pattern.$case === 'contains' ? value.includes(pattern.value) : value === pattern.value;
}

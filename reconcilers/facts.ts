/** What `sources/` says about Kubernetes objects, whatever dialect they were written in. */
import type { Address, Cidr } from './net/address.ts';

export type Fact =
  | NamespaceFact
  | PodFact
  | NodeFact
  | ServiceFact
  | EndpointsFact
  | MeshServiceFact
  | PolicyFact
  | RouteFact
  | ReferenceGrantFact;

/** A sentence that a user understands, about one field of one object. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  /** Path as in `spec.ingress[0].fromEndpoints`. */
  readonly field: string;
  readonly message: string;
}

/** Keys sorted; read with `Object.hasOwn`, since a label may have the name of a method. */
export type Labels = Readonly<Record<string, string>>;

export interface NamespaceFact {
  readonly kind: 'namespace';
  readonly name: string;
  readonly labels: Labels;
}

export interface PodFact {
  readonly kind: 'pod';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** '' before it is scheduled. */
  readonly node: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  /** Empty before the pod has any, and once it has ended. */
  readonly addresses: readonly Address[];
  readonly hostNetwork: boolean;
  /** Succeeded or Failed: it has no network any more. */
  readonly terminated: boolean;
  /** It has a deletion timestamp; whoever got its address since comes first. */
  readonly deleting: boolean;
  /** RFC 3339, or ''. */
  readonly created: string;
  readonly ports: readonly NamedPort[];
  /** It runs its node's Envoy. */
  readonly proxy: boolean;
}

export interface NamedPort {
  readonly name: string;
  readonly protocol: TransportProtocol;
  readonly port: number;
}

export type TransportProtocol = 'TCP' | 'UDP' | 'SCTP';

export interface NodeFact {
  readonly kind: 'node';
  readonly name: string;
  /** InternalIP first. */
  readonly addresses: readonly Address[];
  readonly podCidrs: readonly Cidr[];
}

/** A Service that has cluster IPs: headless ones and ExternalName give no fact. */
export interface ServiceFact {
  readonly kind: 'service';
  readonly namespace: string;
  readonly name: string;
  readonly clusterIps: readonly Address[];
  readonly externalIps: readonly Address[];
  readonly ports: readonly ServicePortFact[];
  /** ClientIP affinity in seconds; 0 is off. */
  readonly affinitySeconds: number;
  readonly internalLocal: boolean;
  readonly externalLocal: boolean;
}

export interface ServicePortFact {
  readonly name: string;
  readonly protocol: TransportProtocol;
  readonly port: number;
  /** 0 is none. */
  readonly nodePort: number;
  /** As written, like `kubernetes.io/h2c`; '' if it has none. */
  readonly appProtocol: string;
}

/** One EndpointSlice. */
export interface EndpointsFact {
  readonly kind: 'endpoints';
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  readonly ports: readonly NamedPort[];
  readonly endpoints: readonly EndpointFact[];
}

export interface EndpointFact {
  readonly addresses: readonly Address[];
  readonly node: string;
  /** `terminating`: it still serves, and is used where nothing is ready. */
  readonly state: 'ready' | 'terminating';
}

export interface MeshServiceFact {
  readonly kind: 'meshService';
  readonly namespace: string;
  readonly name: string;
  readonly algorithm: 'Random' | 'Maglev';
  /** 0: the Service's own affinity counts. */
  readonly affinitySeconds: number;
}

/** An HTTPRoute or GRPCRoute of the Gateway API, or an L7Route, as far as it is attached to Services. */
export interface RouteFact {
  readonly kind: 'route';
  readonly routeKind: RouteKind;
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** RFC 3339: of two routes that match a request alike the older one wins, then the first by name. */
  readonly created: string;
  readonly parents: readonly RouteParent[];
  /** Services that the route is not attached to, because something is not supported; none is also in `parents`. */
  readonly refused?: readonly RefusedParent[];
  /** None where any of it is not understood: `problems` then has an error. */
  readonly rules: readonly RouteRule[];
  /** Of the rules. */
  readonly problems: readonly Problem[];
}

export interface RefusedParent {
  /** In the list that it was written in. */
  readonly index: number;
  readonly reason: 'UnsupportedValue';
  readonly message: string;
}

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'L7Route';

/** A Service whose clients the route is for. */
export interface RouteParent {
  /** In the list that it was written in. */
  readonly index: number;
  readonly namespace: string;
  readonly service: string;
  /** undefined: every port of the Service. */
  readonly port: number | undefined;
}

export interface RouteRule {
  /** '' if it has none. */
  readonly name: string;
  /** In the list that it was written in. */
  readonly index: number;
  /** Any of them; never empty (the prefix "/" matches all). */
  readonly matches: readonly RouteMatch[];
  readonly filters: readonly RouteFilter[];
  /** By weight; a rule without any answers 500, unless it redirects. */
  readonly backends: readonly RouteBackend[];
  /** Milliseconds; undefined is the default (none), 0 is none. */
  readonly timeouts: {
    readonly request?: number;
    readonly perTry?: number;
    readonly idle?: number;
  };
  readonly retry?: RouteRetry;
}

/** All that is set must match. */
export interface RouteMatch {
  readonly path?: { readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression'; readonly value: string };
  readonly method?: string;
  /** Without a port; `*.` at its begin stands for one label or more. */
  readonly host?: string;
  readonly headers: readonly NamedMatch[];
  readonly query: readonly NamedMatch[];
  /** gRPC: parts of the path. */
  readonly grpc?: {
    readonly type: 'Exact' | 'RegularExpression';
    readonly service?: string;
    readonly method?: string;
  };
}

export interface NamedMatch {
  /** Of a header: in lower case. */
  readonly name: string;
  readonly type: 'Exact' | 'RegularExpression' | 'Present';
  readonly value: string;
}

export interface RouteBackend {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
  readonly weight: number;
  readonly filters: readonly RouteFilter[];
  /** Why requests that it is chosen for are answered 500: of another kind, or in a namespace that does not permit it. */
  readonly refused?: {
    readonly reason: 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedValue';
    readonly message: string;
  };
}

export interface RouteRetry {
  /** Beyond the first try. */
  readonly attempts: number;
  readonly backoffMs: number;
  /** Statuses besides failed connections. */
  readonly codes: readonly number[];
}

/** Routes of `from` may send requests to Services of the grant's namespace. */
export interface ReferenceGrantFact {
  readonly kind: 'referenceGrant';
  readonly namespace: string;
  readonly name: string;
  readonly from: readonly { readonly routeKind: RouteKind; readonly namespace: string }[];
  /** '' is every Service. */
  readonly services: readonly string[];
}

export type PathChange = { readonly type: 'ReplaceFullPath' | 'ReplacePrefixMatch'; readonly value: string };

interface HeaderChange {
  readonly set: readonly { readonly name: string; readonly value: string }[];
  readonly add: readonly { readonly name: string; readonly value: string }[];
  readonly remove: readonly string[];
}

export type RouteFilter =
  | ({ readonly kind: 'requestHeaders' | 'responseHeaders' } & HeaderChange)
  | {
      readonly kind: 'redirect';
      readonly scheme?: string;
      readonly hostname?: string;
      readonly port?: number;
      readonly path?: PathChange;
      readonly status: number;
    }
  | { readonly kind: 'rewrite'; readonly hostname?: string; readonly path?: PathChange }
  | { readonly kind: 'mirror'; readonly backend: Omit<RouteBackend, 'weight' | 'filters'>; readonly perMillion: number }
  | {
      readonly kind: 'fault';
      readonly delayMs: number;
      readonly delayPerMillion: number;
      readonly abortStatus: number;
      readonly abortPerMillion: number;
    }
  | {
      readonly kind: 'rateLimit';
      /** 1 at least, like `perMs`; of each node. */
      readonly requests: number;
      readonly perMs: number;
      readonly perClient: boolean;
    };

export interface PolicyFact {
  readonly kind: 'policy';
  readonly policyKind: PolicyKind;
  /** '' for a CiliumClusterwideNetworkPolicy. */
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  /** One for each spec. */
  readonly parts: readonly PolicyPart[];
  readonly problems: readonly Problem[];
}

export type PolicyKind = 'NetworkPolicy' | 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy';
export type PolicyDirection = 'ingress' | 'egress';

export interface PolicyPart {
  /** Which pods it is about. */
  readonly subject: Selector;
  /** Directions in which what nothing allows is denied. */
  readonly defaultDeny: readonly PolicyDirection[];
  readonly rules: readonly PolicyRule[];
}

export interface PolicyRule {
  readonly direction: PolicyDirection;
  readonly deny: boolean;
  /** In the list that it was written in. */
  readonly index: number;
  /** Any of them; none match where it is empty. */
  readonly peers: readonly Peer[];
  /** Any of them; none match where it is empty. */
  readonly ports: readonly PortMatch[];
  /** Set where the translator made the rule. */
  readonly reason: string;
  /** Which entry of the rule's list of ports it is, where the entries ask different things of requests. */
  readonly toPorts?: number;
  /** Not empty, and only for TCP: of the connections only requests that match one of them are allowed. */
  readonly http?: readonly HttpMatch[];
}

/** All that is set must match. Regular expressions are RE2's and match the whole value; '' is not set. */
export interface HttpMatch {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly host: string;
  readonly headers: readonly HeaderMatch[];
}

export interface HeaderMatch {
  /** Lower case. */
  readonly name: string;
  /** Exactly; undefined: the header is there. */
  readonly value?: string;
  /** What happens to a request where it does not match: '' refuses it, all others let it pass. */
  readonly mismatch: '' | 'LOG' | 'ADD' | 'DELETE' | 'REPLACE';
}

export type Peer =
  | { readonly kind: 'entity'; readonly entity: Entity }
  | { readonly kind: 'pods'; readonly selector: Selector }
  /** Addresses outside of the cluster only, as in Cilium. */
  | { readonly kind: 'cidr'; readonly cidr: Cidr; readonly except: readonly Cidr[] };

export type Entity = 'all' | 'world' | 'world-ipv4' | 'world-ipv6' | 'cluster' | 'host' | 'remote-node';

/** Destination ports, both ends included. ANY with 0 to 65535 means every protocol, also those without ports. */
export type PortMatch =
  | { readonly protocol: TransportProtocol | 'ANY'; readonly first: number; readonly last: number }
  | { readonly protocol: TransportProtocol | 'ANY'; readonly portName: string };

/** All requirements must hold; an empty list selects every pod. */
export type Selector = readonly Requirement[];

export interface Requirement {
  /** What `key` is looked up in; for `namespace` and `service-account`, the name itself (`key` is then ''). */
  readonly scope: 'pod-label' | 'namespace-label' | 'namespace' | 'service-account';
  readonly key: string;
  /** NotIn also holds where the key is absent, as in Kubernetes. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Sorted. */
  readonly values: readonly string[];
}

export const everyPort: readonly PortMatch[] = [{ protocol: 'ANY', first: 0, last: 65_535 }];

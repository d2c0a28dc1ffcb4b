import type { NodeResource, PolicyRef } from '@weft/node-api';
import type { Problem } from './facts.ts';
import type { Ineffective } from './policy/ineffective.ts';

export interface ResourceChanges {
  readonly upserts: Map<string, NodeResource>;
  readonly deletes: Set<string>;
}

/** What one update changes. */
export interface Output {
  /** Every node holds these, unless its view has another resource of the same name. */
  readonly shared: ResourceChanges;
  /** By the node's name. */
  readonly views: Map<string, ResourceChanges>;
  /** Changed ones by key, as `CiliumNetworkPolicy/ns/name`; undefined: gone. */
  readonly policies: Map<string, PolicyState | undefined>;
  /** Changed ones by key, as `HTTPRoute/ns/name`; undefined: gone. */
  readonly routes: ReadonlyMap<string, RouteVerdict | undefined>;
  /** Records that the update touched. */
  readonly visited: number;
}

export interface PolicyState {
  readonly ref: PolicyRef;
  /** Node name to the names of the policy sets there that contain it. A live view: read it before the next update. */
  readonly sets: ReadonlyMap<string, readonly string[]>;
  /** How many pods it selects. */
  readonly pods: number;
  readonly problems: readonly Problem[];
  readonly ineffective: readonly Ineffective[];
}

/** What became of a route; reasons are the Gateway API's. */
export interface RouteVerdict {
  readonly parents: readonly {
    /** As in the fact. */
    readonly index: number;
    readonly accepted: boolean;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly resolvedRefs: { readonly status: boolean; readonly reason: string; readonly message: string };
}

/** Collects changes; where a name is both deleted and set in one update, whatever the order, it is set. */
export class OutputBuilder {
  readonly shared: ResourceChanges = { upserts: new Map(), deletes: new Set() };
  readonly views = new Map<string, ResourceChanges>();
  readonly policies = new Map<string, PolicyState | undefined>();
  readonly routes = new Map<string, RouteVerdict | undefined>();

  view(node: string): ResourceChanges {
    let view = this.views.get(node);
    if (view === undefined) {
      view = { upserts: new Map(), deletes: new Set() };
      this.views.set(node, view);
    }
    return view;
  }

  build(visited: number): Output {
    for (const { upserts, deletes } of [this.shared, ...this.views.values()]) {
      for (const name of deletes) if (upserts.has(name)) deletes.delete(name);
    }
    for (const [node, { upserts, deletes }] of this.views) {
      if (upserts.size === 0 && deletes.size === 0) this.views.delete(node);
    }
    return { shared: this.shared, views: this.views, policies: this.policies, routes: this.routes, visited };
  }
}

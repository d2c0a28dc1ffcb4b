import type { Fact, ReferenceGrantFact, RouteFact } from '../../reconcilers/facts.ts';
import { foreignNamespaces, permit } from '../../sources/index.ts';

/** The ReferenceGrants that there are, and the routes that may need one. */
export class Grants {
  /** By namespace, then by the key of the object. */
  readonly #grants = new Map<string, Map<string, ReferenceGrantFact>>();
  /** Routes that refer to Services of other namespaces: key to those namespaces. */
  readonly #crossing = new Map<string, ReadonlySet<string>>();

  /** @returns the keys of the routes that have to be looked at again. */
  set(key: string, facts: readonly Fact[]): string[] {
    const namespace = key.split('/')[1] ?? '';
    const grants = this.#grants.get(namespace) ?? new Map<string, ReferenceGrantFact>();
    grants.delete(key);
    for (const fact of facts) if (fact.kind === 'referenceGrant') grants.set(key, fact);
    if (grants.size === 0) this.#grants.delete(namespace);
    else this.#grants.set(namespace, grants);
    return [...this.#crossing].flatMap(([route, namespaces]) => (namespaces.has(namespace) ? [route] : []));
  }

  /** The facts of an object, with what is granted to it. */
  permit(key: string, facts: readonly Fact[]): readonly Fact[] {
    const foreign = facts.flatMap((fact) => (fact.kind === 'route' ? [...foreignNamespaces(fact)] : []));
    if (foreign.length === 0) {
      this.#crossing.delete(key);
      return facts;
    }
    this.#crossing.set(key, new Set(foreign));
    return facts.map((fact) => (fact.kind === 'route' ? this.#permitted(fact) : fact));
  }

  #permitted(route: RouteFact): RouteFact {
    return permit(route, (namespace) => this.#grants.get(namespace)?.values() ?? []);
  }
}

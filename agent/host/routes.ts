/** Routes to the pods of other nodes: each pod CIDR by its node's address of the same family; own ones: blackhole. */
import type { Node } from '@weft/node-api';
import type { Route } from 'bpf-loader-napi';
import { messageOf } from '../lib/errors.ts';
import { addressText, familyOf, maskedText } from '../tables/address.ts';

export interface RouteTable {
  routes(): Promise<Route[]>;
  replaceRoute(route: Route): Promise<void>;
  deleteRoute(route: Route): Promise<void>;
}

export function routesOf(nodes: Iterable<Node>, own: string): Route[] {
  const routes: Route[] = [];
  for (const node of nodes) {
    for (const cidr of node.podCidrs) {
      const destination = maskedText({ bytes: cidr.address, length: cidr.length });
      // Pods that are here have routes of their own; a packet to one that is gone must not leave by the default route.
      if (node.name === own) routes.push({ destination });
      if (node.name === own) continue;
      const family = familyOf(cidr.address);
      const via = node.addresses.find((address) => familyOf(address) === family);
      if (family === undefined || via === undefined) continue;
      routes.push({ destination, via: addressText(via) });
    }
  }
  return routes;
}

/**
 * Makes the routes that Weft owns exactly these. A route that fails stops no other.
 *
 * @returns a sentence for each failure
 */
export async function syncRoutes(table: RouteTable, wanted: readonly Route[]): Promise<string[]> {
  const problems: string[] = [];
  const attempt = async (what: string, task: Promise<void>): Promise<void> => {
    await task.catch((error: unknown) => void problems.push(`${what}: ${messageOf(error)}`));
  };
  const actual = await table.routes();
  const has = new Map(actual.map((route) => [route.destination, route.via]));
  for (const route of wanted) {
    if (has.has(route.destination) && has.get(route.destination) === route.via) continue;
    await attempt(`route to ${route.destination} via ${route.via ?? 'nowhere'}`, table.replaceRoute(route));
  }
  const keep = new Set(wanted.map(({ destination }) => destination));
  for (const route of actual) {
    if (keep.has(route.destination)) continue;
    await attempt(`removing the route to ${route.destination}`, table.deleteRoute(route));
  }
  return problems;
}

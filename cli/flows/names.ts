/** Whose address was it? */
import type { KubeClient, KubeObject } from 'kopf-ts';
import { get, list, text } from '../../sources/parse.ts';
import { isUnavailable } from '../exec.ts';
import { sourceKinds } from '../kinds.ts';

export type PeerName = { readonly namespace: string; readonly pod: string } | { readonly node: string };

export interface Names {
  /** @param time RFC 3339: an address may have had another owner before */
  at(address: string, time: string): PeerName | undefined;
}

/** Pods that are there by their addresses, and nodes by theirs. */
export function namesOf(pods: readonly KubeObject[], nodes: readonly KubeObject[]): Names {
  const ofPods = new Map<string, { readonly since: number; readonly name: PeerName }[]>();
  for (const pod of pods) {
    if (get(pod, 'spec', 'hostNetwork') === true) continue;
    const { namespace = '', name, creationTimestamp = '' } = pod.metadata;
    for (const entry of list(get(pod, 'status', 'podIPs'))) {
      const address = text(get(entry, 'ip'));
      const owners = ofPods.get(address) ?? [];
      owners.push({ since: Date.parse(creationTimestamp) || 0, name: { namespace, pod: name } });
      ofPods.set(address, owners);
    }
  }
  const ofNodes = new Map<string, PeerName>();
  for (const node of nodes) {
    for (const entry of list(get(node, 'status', 'addresses'))) {
      ofNodes.set(text(get(entry, 'address')), { node: node.metadata.name });
    }
  }
  return {
    at: (address, time) => {
      const when = Date.parse(time);
      const owners = (ofPods.get(address) ?? []).filter(({ since }) => since <= when);
      const youngest = owners.reduce<(typeof owners)[number] | undefined>(
        (a, b) => (a === undefined || b.since > a.since ? b : a),
        undefined,
      );
      return youngest?.name ?? ofNodes.get(address);
    },
  };
}

export const noNames: Names = { at: () => undefined };

/** What the user may list; addresses stay addresses where that is nothing. */
export async function readNames(client: KubeClient): Promise<Names> {
  const may = (kind: 'Pod' | 'Node') =>
    client.list(sourceKinds[kind]).catch((error: unknown) => {
      if (isUnavailable(error)) return [];
      throw error;
    });
  const [pods, nodes] = await Promise.all([may('Pod'), may('Node')]);
  return namesOf(pods, nodes);
}

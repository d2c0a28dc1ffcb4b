/** What an operator tells a node with many pods and Services. */

import type { Resource } from '../../agent/tables/resource.ts';
import { address, endpoint, node, policySet, service } from '../../agent/testing/resources.ts';

/** Name of the node. */
export const nodeName = 'n1';
export const nodeAddresses = ['10.250.7.1', 'fd00:250::1'];
export const podName = (index: number): string => `p${index}`;
export const podUid = (index: number): string => `uid-p${index}`;

/** Each pod has a policy of its own, which allows one port to one of as many pods of another node; each Service two
 * cluster IPs, and two backends of each family. */
export function nodeState(pods: number, services: number): Map<string, Resource> {
  const each = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
  const peerClass = (index: number): bigint => 1_000n + BigInt(index);
  const set = (index: number): bigint => (BigInt(index + 1) << 8n) | 1n; // ingress is denied unless allowed
  const low = (index: number): number => (index % 200) + 2;
  const clusterIps = (index: number): string[] => [
    `10.96.${index >> 8}.${index & 255}`,
    `fd00:10:96::${(index + 1).toString(16)}`,
  ];
  const backends = (index: number): string[] =>
    [1, 2].flatMap((other) => [`10.244.${other}.${low(index)}`, `fd00:10:244:${other}::${low(index).toString(16)}`]);
  return new Map([
    node(nodeName, nodeAddresses, ['10.244.1.0/24', 'fd00:10:244:1::/64']),
    node('n2', ['10.250.7.2', 'fd00:250::2'], ['10.244.2.0/24', 'fd00:10:244:2::/64']),
    address('0.0.0.0/0', 1n, 0),
    address('::/0', 1n, 0),
    address('10.244.0.0/16', 2n, 1),
    address('fd00:10:244::/56', 2n, 1),
    ...each(pods, (i) => address(`10.244.2.${low(i)}/32`, peerClass(i), 1)),
    ...each(pods, (i) => address(`fd00:10:244:2::${low(i).toString(16)}/128`, peerClass(i), 1)),
    ...each(pods, (i) => policySet(set(i), peerClass(i))),
    ...each(pods, (i) => endpoint(podUid(i), podName(i), set(i), 2n)),
    ...each(services, (i) => service(`s${i}`, clusterIps(i), backends(i))),
  ]);
}

/** What the agent finds out about its node by itself. */
import { readFileSync } from 'node:fs';
import type { Link } from 'bpf-loader-napi';

/** Room for the largest overhead that encapsulation or encryption will need. */
export const OVERHEAD = 80;

/** The device with one of the node's addresses. @throws Error with a sentence */
export function findUnderlay(links: readonly Link[], addresses: readonly string[], name?: string): Link {
  const hasAddress = (link: Link) => link.addresses.some((a) => addresses.includes(a.slice(0, a.indexOf('/'))));
  const link = links.find((candidate) => (name ? candidate.name === name : hasAddress(candidate)));
  if (link) return link;
  throw new Error(
    name
      ? `there is no device ${name}, which --underlay names`
      : `no device has the node's address (${addresses.join(', ') || 'none known'}): name the device with --underlay`,
  );
}

/** Where cgroup2 is mounted, the shortest path of several. @throws Error with a sentence */
export function findCgroup(mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): string {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const path = left.split(' ')[4];
    return right.startsWith('cgroup2 ') && path !== undefined ? [path.replaceAll('\\040', ' ')] : [];
  });
  const [shortest] = mounts.sort((a, b) => a.length - b.length);
  if (shortest === undefined) throw new Error('no cgroup2 is mounted: mount one, or name a directory with --cgroup');
  return shortest;
}

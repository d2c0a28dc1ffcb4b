/** Kernel settings of the node's network namespace that forwarding needs; written only where they differ. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../lib/errors.ts';

/** @returns a sentence for each setting that could not be made */
export function applySysctls(underlay: string, root = '/proc/sys'): string[] {
  const problems: string[] = [];
  const read = (key: string): string | undefined => {
    try {
      return readFileSync(join(root, key), 'utf8').trim();
    } catch {
      return undefined;
    }
  };
  const ensure = (key: string, value: string): void => {
    const current = read(key);
    if (current === value || current === undefined) return;
    try {
      writeFileSync(join(root, key), value);
    } catch (error) {
      problems.push(`${key} is ${current} and can't be set to ${value}: ${messageOf(error)}`);
    }
  };
  // A node that got its default route from router advertisements would lose it when it begins to forward.
  if (read(`net/ipv6/conf/${underlay}/accept_ra`) === '1') ensure(`net/ipv6/conf/${underlay}/accept_ra`, '2');
  ensure('net/ipv4/ip_forward', '1');
  ensure('net/ipv6/conf/all/forwarding', '1');
  // The larger of "all" and the device's own counts; a pod's packets take one way in and another out.
  ensure('net/ipv4/conf/all/rp_filter', '0');
  ensure('net/ipv4/conf/default/rp_filter', '0');
  ensure(`net/ipv4/conf/${underlay}/rp_filter`, '0');
  return problems;
}

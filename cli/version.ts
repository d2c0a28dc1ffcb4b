import type { Snapshot } from './status/snapshot.ts';
import { columns } from './text.ts';

export const VERSION = '0.1.0';

export interface Versions {
  readonly client: string;
  readonly operator?: string;
  readonly agents?: readonly { readonly node: string; readonly version: string }[];
}

export function versionsOf({ operator, nodes }: Snapshot): Versions {
  const agents = nodes.map(({ name, agentVersion }) => ({ node: name, version: agentVersion }));
  return { client: VERSION, operator: operator.version, agents };
}

export function versionText({ client, operator, agents = [] }: Versions): string {
  return columns([
    ['client', client],
    ...(operator === undefined ? [] : [['operator', operator]]),
    ...agents.map(({ node, version }) => [`agent on ${node}`, version || 'not connected']),
  ]);
}

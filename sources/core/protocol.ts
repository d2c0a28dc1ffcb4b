import type { TransportProtocol } from '../../reconcilers/facts.ts';

/** Absent means TCP, as everywhere in the core API. */
export function transportProtocol(value: unknown): TransportProtocol | undefined {
  if (value === undefined || value === null) return 'TCP';
  return value === 'TCP' || value === 'UDP' || value === 'SCTP' ? value : undefined;
}

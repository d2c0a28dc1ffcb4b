import type { PolicyDirection, PortMatch } from '../../reconcilers/facts.ts';
import { transportProtocol } from '../core/protocol.ts';
import { get, isPort, isRecord, type Problems, quote, unknownFields } from '../parse.ts';

/** A NetworkPolicyPort: a number, a range, a name, or nothing for all ports of the protocol. */
export function policyPort(value: unknown, field: string, direction: PolicyDirection, problems: Problems): PortMatch[] {
  const protocol = transportProtocol(get(value, 'protocol'));
  if (!isRecord(value) || unknownFields(value, ['protocol', 'port', 'endPort']).length > 0 || protocol === undefined) {
    problems.error(field, 'A port has protocol (TCP, UDP or SCTP), port and endPort, nothing else.');
    return [];
  }
  const port = get(value, 'port');
  const end = get(value, 'endPort');
  if (port === undefined && end === undefined) return [{ protocol, first: 0, last: 65_535 }];
  if (typeof port === 'string' && port !== '' && end === undefined) {
    return namedPort(protocol, port, `${field}.port`, direction, problems);
  }
  if (!isPort(port)) {
    problems.error(`${field}.port`, `${quote(port)} is not a port between 1 and 65535.`);
    return [];
  }
  if (end !== undefined && (!isPort(end) || end < port)) {
    problems.error(`${field}.endPort`, `${quote(end)} is not a port between ${port} and 65535.`);
    return [];
  }
  return [{ protocol, first: port, last: isPort(end) ? end : port }];
}

/**
 * A name means the port that the destination pod gives it. On egress the destinations are many: not supported.
 */
export function namedPort(
  protocol: PortMatch['protocol'],
  portName: string,
  field: string,
  direction: PolicyDirection,
  problems: Problems,
): PortMatch[] {
  if (direction === 'ingress') return [{ protocol, portName }];
  problems.error(field, `The port name ${quote(portName)} is not supported in egress rules; use the number.`);
  return [];
}

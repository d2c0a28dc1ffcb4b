import { everyPort, type PolicyDirection, type PortMatch } from '../../reconcilers/facts.ts';
import { namedPort } from '../networking/port.ts';
import { get, isPort, isRecord, type Problems, quote, unknownFields } from '../parse.ts';

type Protocol = PortMatch['protocol'];

const LAYER7 = 'Rules for layer 7 (http, kafka, dns) are not supported yet and fail closed.';

/** `toPorts`; the result is empty, with a problem, where any of it is not understood. */
export function toPorts(
  value: unknown,
  field: string,
  direction: PolicyDirection,
  problems: Problems,
): readonly PortMatch[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return everyPort;
  if (!Array.isArray(value)) {
    problems.error(field, `A list of port rules is expected, but this is ${quote(value)}.`);
    return [];
  }
  return value.flatMap((entry, index) => portRule(entry, `${field}[${index}]`, direction, problems));
}

function portRule(value: unknown, field: string, direction: PolicyDirection, problems: Problems): PortMatch[] {
  if (!isRecord(value)) {
    problems.error(field, `A port rule is an object, but this is ${quote(value)}.`);
    return [];
  }
  const before = problems.list.length;
  if (!emptyRules(get(value, 'rules'))) {
    problems.error(`${field}.rules`, LAYER7);
  }
  for (const name of unknownFields(value, ['ports', 'rules'])) {
    problems.error(`${field}.${name}`, `The field ${quote(name)} is not supported in a port rule.`);
  }
  const ports = get(value, 'ports');
  if (!Array.isArray(ports) || ports.length === 0) {
    problems.error(`${field}.ports`, 'A port rule lists at least one port; "0" means all of them.');
    return [];
  }
  const parsed = ports.flatMap((port, index) => portProtocol(port, `${field}.ports[${index}]`, direction, problems));
  return problems.list.length > before ? [] : parsed;
}

/** As Cilium's L7Rules.IsEmpty: an object without any list in it. */
function emptyRules(rules: unknown): boolean {
  return rules === undefined || (isRecord(rules) && unknownFields(rules, []).length === 0);
}

function portProtocol(value: unknown, field: string, direction: PolicyDirection, problems: Problems): PortMatch[] {
  const protocol = protocolOf(get(value, 'protocol'));
  const raw = get(value, 'port');
  if (!isRecord(value) || unknownFields(value, ['port', 'endPort', 'protocol']).length > 0 || protocol === undefined) {
    problems.error(field, 'A port has port, endPort and protocol (TCP, UDP, SCTP or ANY), nothing else.');
    return [];
  }
  const name =
    typeof raw === 'string' && /^(?=.*[a-zA-Z])[a-zA-Z0-9-]{1,15}$/.test(raw) ? raw.toLowerCase() : undefined;
  // Cilium reads a leading zero as octal: refused, since hardly anybody means that.
  const first = typeof raw === 'string' && /^(0|[1-9][0-9]{0,4})$/.test(raw) ? Number(raw) : raw;
  const end = get(value, 'endPort') ?? 0;
  if (end !== 0 && (name !== undefined || first === 0)) {
    problems.error(`${field}.endPort`, `A range begins with a port number, not with ${quote(raw)}.`);
    return [];
  }
  if (name !== undefined) return namedPort(protocol, name, `${field}.port`, direction, problems);
  if (first === 0) return everyPortOf(protocol);
  if (!isPort(first)) {
    problems.error(`${field}.port`, `${quote(raw)} is not a port between 0 and 65535 ("0" means all).`);
    return [];
  }
  if (end !== 0 && (!isPort(end) || end < first)) {
    problems.error(`${field}.endPort`, `${quote(end)} is not a port between ${first} and 65535.`);
    return [];
  }
  return [{ protocol, first, last: isPort(end) ? end : first }];
}

/** ANY means the protocols that have ports, so not ICMP. */
function everyPortOf(protocol: Protocol): PortMatch[] {
  const protocols = protocol === 'ANY' ? (['TCP', 'UDP', 'SCTP'] as const) : [protocol];
  return protocols.map((one) => ({ protocol: one, first: 0, last: 65_535 }));
}

function protocolOf(value: unknown): Protocol | undefined {
  const name = typeof value === 'string' && value !== '' ? value.toUpperCase() : (value ?? 'ANY');
  if (name === '') return 'ANY';
  return name === 'TCP' || name === 'UDP' || name === 'SCTP' || name === 'ANY' ? name : undefined;
}

import { everyPort, type HttpMatch, type PolicyDirection, type PortMatch } from '../../reconcilers/facts.ts';
import { namedPort } from '../networking/port.ts';
import { get, isPort, isRecord, type Problems, quote, unknownFields } from '../parse.ts';
import { httpMatches } from './http.ts';

type Protocol = PortMatch['protocol'];

/** Entries of `toPorts` that ask the same of requests. */
export interface PortGroup {
  /** Of the first of them. */
  readonly index: number;
  readonly ports: readonly PortMatch[];
  readonly http: readonly HttpMatch[] | undefined;
}

/**
 * `toPorts`, what asks nothing of requests as one group; the result has no ports, with a problem, where any of it is
 * not understood.
 */
export function toPorts(
  value: unknown,
  field: string,
  direction: PolicyDirection,
  deny: boolean,
  problems: Problems,
): readonly PortGroup[] {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return [plain(0, everyPort)];
  if (!Array.isArray(value)) {
    problems.error(field, `A list of port rules is expected, but this is ${quote(value)}.`);
    return [plain(0, [])];
  }
  const groups = value.map((entry, index): PortGroup => {
    const where = `${field}[${index}]`;
    const http = httpOf(get(entry, 'rules'), `${where}.rules`, deny, problems);
    return { index, http, ports: portRule(entry, where, direction, http !== undefined, problems) };
  });
  const without = groups.filter(({ http }) => http === undefined);
  const first = without[0];
  if (first === undefined) return groups;
  const merged = plain(
    first.index,
    without.flatMap(({ ports }) => ports),
  );
  return groups.flatMap((group) => (group === first ? [merged] : group.http === undefined ? [] : [group]));
}

function plain(index: number, ports: readonly PortMatch[]): PortGroup {
  return { index, ports, http: undefined };
}

/** `rules`. As Cilium's L7Rules.IsEmpty: an object without any list in it asks nothing. */
function httpOf(rules: unknown, field: string, deny: boolean, problems: Problems): PortGroup['http'] {
  if (rules === undefined) return undefined;
  if (!isRecord(rules)) {
    problems.error(field, `Rules for requests are an object, but this is ${quote(rules)}.`);
    return undefined;
  }
  for (const name of unknownFields(rules, ['http'])) {
    problems.error(`${field}.${name}`, `Of rules for layer 7 only http is supported, not ${quote(name)}.`);
  }
  const http = get(rules, 'http');
  if (http === undefined) return undefined;
  if (!deny) return httpMatches(http, `${field}.http`, problems);
  problems.error(`${field}.http`, 'A rule that denies knows ports only; allow the other requests instead.');
  return undefined;
}

function portRule(
  value: unknown,
  field: string,
  direction: PolicyDirection,
  http: boolean,
  problems: Problems,
): PortMatch[] {
  if (!isRecord(value)) {
    problems.error(field, `A port rule is an object, but this is ${quote(value)}.`);
    return [];
  }
  const before = problems.list.length;
  for (const name of unknownFields(value, ['ports', 'rules'])) {
    problems.error(`${field}.${name}`, `The field ${quote(name)} is not supported in a port rule.`);
  }
  const ports = get(value, 'ports');
  if (!Array.isArray(ports) || ports.length === 0) {
    problems.error(`${field}.ports`, 'A port rule lists at least one port; "0" means all of them.');
    return [];
  }
  const parsed = ports.flatMap((port, index) => {
    const where = `${field}.ports[${index}]`;
    const found = portProtocol(port, where, direction, problems);
    return http ? forHttp(found, where, problems) : found;
  });
  return problems.list.length > before ? [] : parsed;
}

/** HTTP is read on TCP; ANY means that here. All ports are refused, as by Cilium: most of them speak something else. */
function forHttp(matches: readonly PortMatch[], field: string, problems: Problems): PortMatch[] {
  if (matches.some((match) => 'first' in match && match.first === 0)) {
    problems.error(`${field}.port`, 'HTTP rules need the port of an HTTP server; "0" means all ports.');
    return [];
  }
  const other = matches.find(({ protocol }) => protocol !== 'TCP' && protocol !== 'ANY');
  if (other === undefined) return matches.map((match) => ({ ...match, protocol: 'TCP' }));
  problems.error(`${field}.protocol`, `HTTP rules need the protocol TCP, but this is ${other.protocol}.`);
  return [];
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

import type { PolicyDirection, PolicyRule } from '../../reconcilers/facts.ts';
import { denyAll } from '../deny-all.ts';
import { get, isRecord, type Json, Problems, quote, unknownFields } from '../parse.ts';
import { peerFields, rulePeers } from './peers.ts';
import { toPorts } from './ports.ts';

/** The deny rules and the allow rules of one direction. */
export function directionRules(
  spec: Json,
  field: string,
  direction: PolicyDirection,
  namespace: string,
  problems: Problems,
): PolicyRule[] {
  return [false, true].flatMap((deny) => {
    const name = deny ? `${direction}Deny` : direction;
    const rules = get(spec, name) ?? [];
    const where = `${field}.${name}`;
    if (Array.isArray(rules)) {
      return rules.flatMap((rule, index) =>
        oneRule(rule, direction, deny, index, `${where}[${index}]`, namespace, problems),
      );
    }
    problems.error(
      where,
      `A list of rules is expected, but this is ${quote(rules)}; ${deny ? 'all is denied' : 'nothing is allowed'}.`,
    );
    return deny ? [denyAll(direction, 0, `${where} is not a list`)] : [];
  });
}

/** What is not understood is never wider: an allow is left out, a deny or a restriction becomes a deny of everything. */
function oneRule(
  rule: unknown,
  direction: PolicyDirection,
  deny: boolean,
  index: number,
  field: string,
  namespace: string,
  problems: Problems,
): PolicyRule[] {
  const found = new Problems(problems.work);
  const parsed = parseRule(rule, direction, deny, index, field, namespace, found);
  const consequence = deny || restricts(rule, direction) ? 'so the rule denies all.' : 'so the rule allows nothing.';
  for (const problem of found.list)
    problems.error(problem.field, `${problem.message.replace(/\.$/, '')}, ${consequence}`);
  const first = found.list[0];
  if (first === undefined) return parsed;
  return deny || restricts(rule, direction) ? [denyAll(direction, index, `${first.field} is not supported`)] : [];
}

/** What a rule requires narrows every other rule for the same pods, so that leaving it out would allow more. */
function restricts(rule: unknown, direction: PolicyDirection): boolean {
  const required = get(rule, requires(direction));
  return required !== undefined && !(Array.isArray(required) && required.length === 0);
}

function requires(direction: PolicyDirection): string {
  return direction === 'ingress' ? 'fromRequires' : 'toRequires';
}

function parseRule(
  rule: unknown,
  direction: PolicyDirection,
  deny: boolean,
  index: number,
  field: string,
  namespace: string,
  problems: Problems,
): PolicyRule[] {
  if (!isRecord(rule)) {
    problems.error(field, `A rule is an object, but this is ${quote(rule)}.`);
    return [];
  }
  const harmless = restricts(rule, direction) ? [] : [requires(direction)];
  for (const name of unknownFields(rule, [...peerFields(direction), 'toPorts', ...harmless])) {
    problems.error(`${field}.${name}`, `The field ${quote(name)} is not supported.`);
  }
  const ports = get(rule, 'toPorts');
  const hasPorts = ports !== undefined && !(Array.isArray(ports) && ports.length === 0);
  const peers = rulePeers(rule, direction, field, namespace, hasPorts, problems);
  return toPorts(ports, `${field}.toPorts`, direction, deny, problems).map(({ index: entry, ports: those, http }) => ({
    direction,
    deny,
    index,
    peers,
    ports: those,
    reason: '',
    ...(http === undefined ? {} : { toPorts: entry, http }),
  }));
}

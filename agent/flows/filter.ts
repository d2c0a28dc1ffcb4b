import type { Flow, FlowEnd } from './view.ts';

/** What a client may ask flows for; all that is given must fit. */
export interface FlowFilter {
  /** "namespace/name" of either end. */
  readonly pod?: string;
  /** Of either end. */
  readonly namespace?: string;
  readonly verdict?: string;
  /** Part of the name of the policy that decided. */
  readonly rule?: string;
  readonly type?: string;
  /** Of either end, or of the Service. */
  readonly address?: string;
  readonly port?: number;
  readonly protocol?: string;
}

export function fits(flow: Flow, filter: FlowFilter): boolean {
  const ends = [flow.source, flow.destination];
  const some = (test: (end: FlowEnd) => boolean): boolean => ends.some(test);
  const { pod, namespace, verdict, rule, type, address, port, protocol } = filter;
  return (
    (pod === undefined || some((end) => `${end.pod?.namespace}/${end.pod?.name}` === pod)) &&
    (namespace === undefined || some((end) => end.pod?.namespace === namespace)) &&
    (verdict === undefined || flow.verdict === verdict) &&
    (rule === undefined || policiesOf(flow).some((name) => name.includes(rule))) &&
    (type === undefined || flow.type === type) &&
    (address === undefined || some((end) => end.address === address) || flow.service?.address === address) &&
    (port === undefined || flow.destination.port === port || flow.service?.port === port) &&
    (protocol === undefined || flow.protocol.toLowerCase() === protocol.toLowerCase())
  );
}

function policiesOf({ egress, ingress }: Flow): string[] {
  return [egress, ingress].flatMap((side) => [side?.rule?.policy ?? [], side?.defaultDeny ?? []].flat());
}

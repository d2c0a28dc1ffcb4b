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
  /** Of requests, both ends included. */
  readonly status?: readonly [low: number, high: number];
  /** Of requests. */
  readonly method?: string;
  /** Of requests: what their path begins with. */
  readonly path?: string;
}

/** "403", "4xx" or "500-504". @throws Error with a sentence */
export function statusRange(text: string): readonly [low: number, high: number] {
  const [, low = text, high = low] = /^(\d{1,3})-(\d{1,3})$/.exec(text) ?? [];
  const range = [Number(low.replaceAll(/x/gi, '0')), Number(high.replaceAll(/x/gi, '9'))] as const;
  const isStatus = /^(\d{1,3}-\d{1,3}|[1-5]xx|0|[1-5]\d\d)$/i.test(text) && range[0] <= range[1];
  if (!isStatus) throw new Error(`status is ${text}: write 403, 4xx or 500-504 (0: no answer)`);
  return range;
}

export function fits(flow: Flow, filter: FlowFilter): boolean {
  const ends = [flow.source, flow.destination];
  const some = (test: (end: FlowEnd) => boolean): boolean => ends.some(test);
  const { pod, namespace, verdict, rule, type, address, port, protocol, status, method, path } = filter;
  const { http } = flow;
  return (
    (pod === undefined || some((end) => `${end.pod?.namespace}/${end.pod?.name}` === pod)) &&
    (namespace === undefined || some((end) => end.pod?.namespace === namespace)) &&
    (verdict === undefined || flow.verdict === verdict) &&
    (rule === undefined || policiesOf(flow).some((name) => name.includes(rule))) &&
    (type === undefined || flow.type === type) &&
    (address === undefined || some((end) => end.address === address) || flow.service?.address === address) &&
    (port === undefined || flow.destination.port === port || flow.service?.port === port) &&
    (protocol === undefined || flow.protocol.toLowerCase() === protocol.toLowerCase()) &&
    (status === undefined || (http !== undefined && http.status >= status[0] && http.status <= status[1])) &&
    (method === undefined || http?.method === method) &&
    (path === undefined || http?.path.startsWith(path) === true)
  );
}

function policiesOf({ egress, ingress }: Flow): string[] {
  return [egress, ingress].flatMap((side) => [
    ...(side?.rule === undefined ? [] : [side.rule.policy]),
    ...(side?.defaultDeny ?? []),
    ...(side?.noneOf ?? []).map(({ policy }) => policy),
  ]);
}

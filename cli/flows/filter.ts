/** Which flows are wanted: what agents can tell, they sort out; the rest is done here, once both ends have names. */
import type { FlowEnd, FlowLine } from './line.ts';
import type { FlowVerdict } from './words.ts';

export interface FlowFilter {
  /** Of either end: a pod's name or its beginning, as `shop/frontend`; without a namespace, of any. */
  readonly pod?: string;
  /** Of either end. */
  readonly namespace?: string;
  readonly verdict?: FlowVerdict;
  readonly type?: string;
  /** Part of a deciding policy's `Kind/namespace/name`. */
  readonly rule?: string;
  readonly protocol?: string;
  /** Of the destination, or of the Service that was meant. */
  readonly port?: number;
  /** Of requests: `403`, `4xx` or `500-504`. */
  readonly status?: string;
  readonly method?: string;
  /** What a request's path begins with. */
  readonly path?: string;
}

/** The flags that make an agent send no more than is wanted. */
export function agentFlags(filter: FlowFilter): string[] {
  const { verdict, type, rule, protocol, port, status, method, path } = filter;
  return [
    ...(verdict === undefined ? [] : [verdict === 'revoked' ? '--type=revoked' : `--verdict=${verdict}`]),
    ...(type === undefined ? [] : [`--type=${type}`]),
    ...(rule === undefined ? [] : [`--rule=${rule}`]),
    ...(protocol === undefined ? [] : [`--protocol=${protocol}`]),
    ...(port === undefined ? [] : [`--port=${port}`]),
    ...(status === undefined ? [] : [`--status=${status}`]),
    ...(method === undefined ? [] : [`--method=${method}`]),
    ...(path === undefined ? [] : [`--path=${path}`]),
  ];
}

/** Whether agents can do all of the filtering, so that a limit may be theirs, too. */
export const isAgents = ({ pod, namespace }: FlowFilter): boolean => pod === undefined && namespace === undefined;

export function fits(line: FlowLine, { pod, namespace }: FlowFilter): boolean {
  const ends = [line.source, line.destination];
  return (
    (pod === undefined || ends.some((end) => isPod(end, pod))) &&
    (namespace === undefined || ends.some((end) => end.namespace === namespace))
  );
}

function isPod(end: FlowEnd, wanted: string): boolean {
  if (end.pod === undefined) return false;
  const slash = wanted.indexOf('/');
  const name = wanted.slice(slash + 1);
  return end.pod.startsWith(name) && (slash < 0 || end.namespace === wanted.slice(0, slash));
}

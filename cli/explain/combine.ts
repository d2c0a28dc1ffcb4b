/** What both ends' kernels say, as one verdict. */
import { z } from 'zod';
import type { HttpRequest } from '../../reconcilers/http/match.ts';
import { type PolicyName, policyOf, type RuleRef } from '../flows/line.ts';
import { allowingRule, type HttpRule } from './http.ts';

const Match = z.object({
  method: z.string(),
  path: z.string(),
  host: z.string(),
  headers: z.array(z.object({ name: z.string(), value: z.string().optional(), mismatch: z.string() })),
});

const Listener = z.object({
  rules: z.array(z.object({ policy: z.string(), index: z.number(), http: z.array(Match) })),
});

const Explanation = z.object({
  direction: z.enum(['ingress', 'egress']),
  pod: z.string(),
  verdict: z.enum(['allow', 'deny', 'proxy']),
  reason: z.enum(['rule', 'default-deny', 'no-policy', 'node-to-own-pod']),
  rule: z.object({ policy: z.string(), index: z.number(), reason: z.string().optional() }).optional(),
  defaultDeny: z.array(z.string()).optional(),
  listener: Listener.optional(),
});

const Answer = z.object({ decisions: z.array(Explanation) });

export type Reason = 'rule' | 'http' | 'default-deny' | 'no-policy' | 'node-to-own-pod' | 'not-a-pod';

/** by-request: Envoy decides, and no request was named. */
export type Decision = 'allowed' | 'denied' | 'by-request';

/** What decides in one direction. */
export interface Side {
  readonly verdict: Decision;
  readonly reason: Reason;
  /** Whose kernel was asked; absent where the end is no pod. */
  readonly node?: string;
  readonly rule?: RuleRef & { readonly reason?: string };
  /** No rule allowed it: the policies that deny what none allows. */
  readonly defaultDeny?: readonly PolicyName[];
  /** Reason http: the rules by which Envoy decides; `rule` is the one that allows the request. */
  readonly http?: readonly HttpRule[];
}

export interface Verdict {
  readonly verdict: Decision;
  readonly egress: Side;
  readonly ingress: Side;
}

/** The end is no pod with a network of its own. */
export const notAPod: Side = { verdict: 'allowed', reason: 'not-a-pod' };

/**
 * @param request what Envoy would be asked, where it decides
 * @throws Error with a sentence where the agent says something else, or the request lacks what a rule looks at
 */
export function parseSide(answer: unknown, direction: 'ingress' | 'egress', node: string, request?: HttpRequest): Side {
  const { success, data, error } = Answer.safeParse(answer);
  const decision = data?.decisions.find((one) => one.direction === direction);
  if (!success || decision === undefined) {
    const detail = success
      ? `no ${direction} decision`
      : `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`;
    throw new Error(`the answer of ${node}'s agent is not understood (${detail}): use the \`weft\` of its version`);
  }
  const { rule, defaultDeny, listener } = decision;
  if (decision.verdict === 'proxy') {
    const rules = (listener?.rules ?? []).map(({ policy, index, http }) => ({
      ...policyOf(policy),
      index,
      matches: http,
    }));
    return { node, ...httpSide(rules, request) };
  }
  return {
    verdict: decision.verdict === 'allow' ? 'allowed' : 'denied',
    reason: decision.reason,
    node,
    ...(rule === undefined
      ? {}
      : {
          rule: {
            ...policyOf(rule.policy),
            index: rule.index,
            ...(rule.reason === undefined ? {} : { reason: rule.reason }),
          },
        }),
    ...(defaultDeny === undefined ? {} : { defaultDeny: defaultDeny.map(policyOf) }),
  };
}

function httpSide(http: readonly HttpRule[], request: HttpRequest | undefined): Omit<Side, 'node'> {
  // Where the rules are not known, nothing may look allowed.
  if (request === undefined || http.length === 0) return { verdict: 'by-request', reason: 'http', http };
  const found = allowingRule(http, request);
  if (found === undefined) return { verdict: 'denied', reason: 'http', http };
  const { matches: _, ...rule } = found;
  return { verdict: 'allowed', reason: 'http', rule, http };
}

/** Allowed only if both allow. */
export function combine(egress: Side, ingress: Side): Verdict {
  const both = [egress.verdict, ingress.verdict];
  const verdict = both.includes('denied') ? 'denied' : both.includes('by-request') ? 'by-request' : 'allowed';
  return { verdict, egress, ingress };
}

/** What both ends' kernels say, as one verdict. */
import { z } from 'zod';
import { type PolicyName, policyOf } from '../flows/line.ts';

const Explanation = z.object({
  direction: z.enum(['ingress', 'egress']),
  pod: z.string(),
  verdict: z.enum(['allow', 'deny']),
  reason: z.enum(['rule', 'default-deny', 'no-policy', 'node-to-own-pod']),
  rule: z.object({ policy: z.string(), index: z.number(), reason: z.string().optional() }).optional(),
  defaultDeny: z.array(z.string()).optional(),
});

const Answer = z.object({ decisions: z.array(Explanation) });

export type Reason = 'rule' | 'default-deny' | 'no-policy' | 'node-to-own-pod' | 'not-a-pod';

/** What decides in one direction. */
export interface Side {
  readonly verdict: 'allowed' | 'denied';
  readonly reason: Reason;
  /** Whose kernel was asked; absent where the end is no pod. */
  readonly node?: string;
  readonly rule?: PolicyName & { readonly index: number; readonly reason?: string };
  /** No rule allowed it: the policies that deny what none allows. */
  readonly defaultDeny?: readonly PolicyName[];
}

export interface Verdict {
  readonly verdict: 'allowed' | 'denied';
  readonly egress: Side;
  readonly ingress: Side;
}

/** The end is no pod with a network of its own. */
export const notAPod: Side = { verdict: 'allowed', reason: 'not-a-pod' };

/** @throws Error with a sentence where the agent says something else */
export function parseSide(answer: unknown, direction: 'ingress' | 'egress', node: string): Side {
  const { success, data, error } = Answer.safeParse(answer);
  const decision = data?.decisions.find((one) => one.direction === direction);
  if (!success || decision === undefined) {
    const detail = success
      ? `no ${direction} decision`
      : `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`;
    throw new Error(`the answer of ${node}'s agent is not understood (${detail}): use the \`weft\` of its version`);
  }
  const { rule, defaultDeny } = decision;
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

/** Allowed only if both allow. */
export function combine(egress: Side, ingress: Side): Verdict {
  const allowed = egress.verdict === 'allowed' && ingress.verdict === 'allowed';
  return { verdict: allowed ? 'allowed' : 'denied', egress, ingress };
}

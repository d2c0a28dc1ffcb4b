import { type KubeClient, KubeError } from 'kopf-ts';
import { z } from 'zod';
import { podKind } from '../kinds.ts';

/** The audience of the tokens by which agents prove themselves. */
export const TOKEN_AUDIENCE = 'weft-operator';

/** No service account token is longer; what is longer never reaches the API server. */
const MAX_TOKEN_LENGTH = 16_384;

const review = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    error: z.string().optional(),
    audiences: z.array(z.string()).default([]),
    user: z
      .object({ username: z.string().default(''), extra: z.record(z.string(), z.array(z.string())).default({}) })
      .default({ username: '', extra: {} }),
  }),
});

/** The agent that a token is of. */
export interface AgentIdentity {
  readonly node: string;
  readonly podName: string;
  readonly podUid: string;
}

/** Thrown for a token that proves nothing; its message is for the one who sent it. */
export class Unproven extends Error {
  override readonly name = 'Unproven';
}

export interface ReviewOptions {
  readonly client: KubeClient;
  /** Namespace of the agents' pods and of their service account. */
  readonly namespace: string;
}

/** The only service account that gets certificates. */
export function agentAccount(namespace: string): string {
  return `system:serviceaccount:${namespace}:weft-agent`;
}

/**
 * Whose token this is, by the word of the API server alone.
 * @throws Unproven if it is not of a running agent pod
 * @throws KubeError if the API server can't be asked
 */
export async function reviewToken(token: string, options: ReviewOptions, signal?: AbortSignal): Promise<AgentIdentity> {
  if (token === '' || token.length > MAX_TOKEN_LENGTH) throw new Unproven('the token is empty or too long');
  const { client, namespace } = options;
  const answer = await client.raw(
    {
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences: [TOKEN_AUDIENCE] },
      },
    },
    { signal, timeoutMs: 10_000, retries: 2 },
  );
  const { status } = review.parse(answer);
  // A server that does not know audiences would leave them out and accept any.
  if (!status.authenticated || !status.audiences.includes(TOKEN_AUDIENCE)) {
    throw new Unproven(`the API server does not accept the token for audience "${TOKEN_AUDIENCE}"`);
  }
  const { username, extra } = status.user;
  if (username !== agentAccount(namespace)) {
    throw new Unproven(`the token is of ${username}; only ${agentAccount(namespace)} gets a certificate`);
  }
  const identity = {
    node: claim(extra, 'node-name'),
    podName: claim(extra, 'pod-name'),
    podUid: claim(extra, 'pod-uid'),
  };
  await checkPod(identity, options, signal);
  return identity;
}

function claim(extra: Readonly<Record<string, readonly string[]>>, name: string): string {
  const [value, ...others] = extra[`authentication.kubernetes.io/${name}`] ?? [];
  if (value === undefined || value === '' || others.length > 0) {
    throw new Unproven(`the token is not bound to a pod on a node: it has no ${name}`);
  }
  return value;
}

/** The API server refuses tokens of deleted pods, but keeps positive answers for some seconds. */
async function checkPod(identity: AgentIdentity, options: ReviewOptions, signal?: AbortSignal): Promise<void> {
  const { client, namespace } = options;
  const { podName: name, podUid, node } = identity;
  try {
    const pod = await client.get(podKind, { namespace, name }, { signal, timeoutMs: 10_000 });
    if (pod.metadata.uid === podUid && pod.spec?.nodeName === node) return;
  } catch (error) {
    if (!(error instanceof KubeError && error.isNotFound)) throw error;
  }
  throw new Unproven(`the token's pod ${name} does not run on node ${node} any more`);
}

/** What the operator knows, as its control socket answers. */
import type { KubeConfig } from '@kubernetes/client-node';
import type { KubeClient } from 'kopf-ts';
import { z } from 'zod';
import { execJson, podsOf } from '../exec.ts';

const Count = z.object({ enforced: z.number(), of: z.number() });

const Enforcement = Count.extend({
  missing: z.array(z.object({ node: z.string(), why: z.string(), message: z.string() })),
});

const Problem = z.object({ severity: z.string(), field: z.string(), message: z.string() });

const Named = z.object({ namespace: z.string(), name: z.string() });

const Snapshot = z.object({
  operator: z.looseObject({
    version: z.string(),
    leader: z.boolean(),
    ready: z.boolean(),
    waitingFor: z.array(z.string()),
    absent: z.array(z.string()),
  }),
  nodes: z.array(
    z.looseObject({
      name: z.string(),
      connected: z.boolean(),
      agentVersion: z.string(),
      synced: z.boolean(),
      policySets: Count,
      errors: z.array(z.object({ resource: z.string(), message: z.string() })),
      conditions: z.array(z.object({ type: z.string(), status: z.boolean(), reason: z.string(), message: z.string() })),
    }),
  ),
  policies: z.array(
    Named.loose().extend({
      kind: z.string(),
      generation: z.number(),
      pods: z.number(),
      nodes: Enforcement,
      problems: z.array(Problem),
      ineffective: z.array(z.looseObject({ message: z.string() })),
    }),
  ),
  meshServices: z.array(
    Named.loose().extend({ generation: z.number(), nodes: Enforcement, problems: z.array(Problem) }),
  ),
  problems: z.array(z.object({ object: z.string(), problems: z.array(Problem) })),
});

export type Snapshot = z.infer<typeof Snapshot>;
export type Enforcement = z.infer<typeof Enforcement>;
export type Problem = z.infer<typeof Problem>;

/** @throws Error with a sentence where the operator speaks another dialect */
export function parseSnapshot(answer: unknown): Snapshot {
  const { success, data, error } = Snapshot.safeParse(answer);
  if (success) return data;
  const [issue] = error.issues;
  throw new Error(
    `the operator's answer is not understood (${issue?.path.join('.')}: ${issue?.message}): use the \`weft\` of its version`,
  );
}

/** The snapshot of the operator that leads; where none does, of the first. */
export async function readSnapshot(config: KubeConfig, client: KubeClient): Promise<Snapshot> {
  let first: Snapshot | undefined;
  let failure = new Error('no operator answered');
  for (const pod of await podsOf(client, 'weft-operator')) {
    try {
      const snapshot = parseSnapshot(
        await execJson(config, pod.name, 'operator', ['node', '/weft/operatorctl.mjs', 'status']),
      );
      if (snapshot.operator.leader) return snapshot;
      first ??= snapshot;
    } catch (error) {
      // Another replica may answer.
      failure = error instanceof Error ? error : new Error(String(error));
    }
  }
  if (first === undefined) throw failure;
  return first;
}

/** A hundred policies that select the demo's pods, and the states that they pass through. */
import { shuffled } from './random.ts';

export interface ChurnPolicy {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: { readonly story: string } };
  readonly spec: object;
}

const apps = ['frontend', 'api', 'stranger'];
const ports = [
  { port: '80', protocol: 'TCP' },
  { port: '7000', protocol: 'TCP' },
  { port: '7001', protocol: 'UDP' },
];

const policy = (name: string, spec: object): ChurnPolicy => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name, namespace: 'shop', labels: { story: 'churn' } },
  spec,
});

/** Who may call whom on which port, by label, entity or range, some of them denying. */
export function churnPolicy(index: number): ChurnPolicy {
  const peer = apps[(index + Math.floor(index / 3)) % 3] ?? 'api';
  const from = [
    { fromEndpoints: [{ matchLabels: { app: peer } }] },
    { fromEntities: ['remote-node'] },
    { fromCIDRSet: [{ cidr: `10.${index}.0.0/16`, except: [`10.${index}.${index}.0/24`] }] },
    { fromEndpoints: [{ matchLabels: { app: peer, generation: String(index % 5) } }] },
  ][index % 4];
  const toPorts = index % 5 === 0 ? {} : { toPorts: [{ ports: [ports[index % 3]] }] };
  const direction = index % 10 === 9 ? 'ingressDeny' : 'ingress';
  return policy(`churn-${index}`, {
    endpointSelector: { matchLabels: { app: apps[index % 3] } },
    [direction]: [{ ...from, ...toPorts }],
  });
}

/**
 * Changes nothing for anyone, and selects every pod: when its newest generation is enforced, so is all that was written
 * before it, deletions too.
 */
export const barrier = (round: number): ChurnPolicy =>
  policy('churn-barrier', {
    endpointSelector: {},
    enableDefaultDeny: { ingress: false, egress: false },
    ingress: [{ fromCIDR: [`192.0.2.${round % 256}/32`] }],
  });

/** A few changes that are under way together, one after the other. */
export interface Step {
  readonly apply: readonly ChurnPolicy[];
  readonly remove: readonly string[];
  /** Policies in force after each single change, the last state of the step before first. */
  readonly states: readonly (readonly ChurnPolicy[])[];
}

/** Applies each of a hundred once in random order, five at a time, and deletes up to four that are there. */
export function churnSteps(random: () => number): readonly Step[] {
  const all = shuffled(
    Array.from({ length: 100 }, (_, index) => churnPolicy(index)),
    random,
  );
  const steps: Step[] = [];
  let present: readonly ChurnPolicy[] = [];
  for (let at = 0; at < all.length; at += 5) {
    const apply = all.slice(at, at + 5);
    const gone = shuffled(present, random).slice(0, Math.floor(random() * 5));
    const states = [present];
    for (const one of apply) states.push([...(states.at(-1) ?? []), one]);
    for (const one of gone) states.push((states.at(-1) ?? []).filter((other) => other !== one));
    present = states.at(-1) ?? [];
    steps.push({ apply, remove: gone.map(({ metadata }) => metadata.name), states });
  }
  return steps;
}

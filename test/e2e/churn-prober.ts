/** Probers inside pods, and the judge of what they saw: each verdict is that of a state that was in force or under way. */
import type { Fact } from '../../reconcilers/index.ts';
import { simulate } from '../../reconcilers/index.ts';
import { translate } from '../../sources/index.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { ShopPod } from '../local/stage.ts';
import type { ChurnPolicy } from './churn-policies.ts';

export interface Attempt {
  readonly from: string;
  readonly to: string;
  readonly protocol: 'TCP' | 'UDP';
  readonly began: number;
  readonly ended: number;
  readonly error: string | undefined;
}

/** States that held or were under way from a moment on, until the next period begins; ms since 1970. */
export interface Period {
  readonly since: number;
  readonly states: readonly (readonly ChurnPolicy[])[];
}

const ports = { TCP: 7000, UDP: 7001 } as const;

interface Line {
  readonly target: string;
  readonly began: string;
  readonly ended: string;
  readonly error?: string;
}

/** Tries the others from a pod for a time, TCP and UDP, each over the family that its turn says. */
export async function probeOthers(
  cluster: Cluster,
  from: ShopPod,
  others: readonly ShopPod[],
  seconds: number,
): Promise<readonly Attempt[]> {
  const targets = new Map<string, Pick<Attempt, 'to' | 'protocol'>>(
    others.flatMap((to, index) =>
      (['TCP', 'UDP'] as const).map((protocol, turn) => {
        const address = (index + turn) % 2 === 0 ? to.ipv4 : `[${to.ipv6}]`;
        return [
          `${protocol.toLowerCase()}/${address}:${ports[protocol]}`,
          { to: `shop/${to.name}`, protocol },
        ] as const;
      }),
    ),
  );
  const result = await cluster.exec('shop', from.name, ['demo', 'probe', String(seconds), ...targets.keys()]);
  if (result.code !== 0) throw new Error(`the prober in ${from.name} failed: ${result.stderr}`);
  return result.stdout
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as Line)
    .flatMap(({ target, began, ended, error }) => {
      const known = targets.get(target);
      if (known === undefined) return [];
      return [{ ...known, from: `shop/${from.name}`, began: Date.parse(began), ended: Date.parse(ended), error }];
    });
}

/** Attempts that no state of their time explains, as sentences. */
export function unexplained(
  attempts: readonly Attempt[],
  periods: readonly Period[],
  world: readonly Fact[],
): readonly string[] {
  const verdicts = new Map<readonly ChurnPolicy[], Map<string, boolean>>();
  const allows = (state: readonly ChurnPolicy[], { from, to, protocol }: Attempt): boolean => {
    const known = verdicts.get(state) ?? new Map<string, boolean>();
    verdicts.set(state, known);
    const key = `${from} ${to} ${protocol}`;
    const verdict = known.get(key) ?? verdictOf(world, state, { from, to, protocol });
    known.set(key, verdict);
    return verdict;
  };
  return attempts.flatMap((attempt) => {
    const during = periods.filter(
      ({ since }, index) => since <= attempt.ended && (periods[index + 1]?.since ?? Infinity) >= attempt.began,
    );
    const states = during.flatMap((period) => period.states);
    const connected = attempt.error === undefined;
    if (states.some((state) => allows(state, attempt) === connected)) return [];
    const { from, to, protocol, error } = attempt;
    const when = `${new Date(attempt.began).toISOString()} to ${new Date(attempt.ended).toISOString()}`;
    return [`${from} to ${to} ${protocol} ${when}: ${error ?? 'connected'}, in none of ${states.length} states`];
  });
}

function verdictOf(
  world: readonly Fact[],
  state: readonly ChurnPolicy[],
  { from, to, protocol }: Pick<Attempt, 'from' | 'to' | 'protocol'>,
): boolean {
  const policies = state.flatMap((policy) => translate('CiliumNetworkPolicy', policy).facts);
  const probe = { from: { pod: from }, to: { pod: to }, protocol, port: ports[protocol] };
  return simulate([...world, ...policies], probe).verdict === 'allow';
}

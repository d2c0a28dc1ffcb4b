/** `metav1.Condition`. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase word. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339; when `status` last changed. */
  readonly lastTransitionTime: string;
  /** `metadata.generation` that this was decided for. */
  readonly observedGeneration?: number;
}

/** What a controller has to say; the times are added by {@link nextConditions}. */
export type ConditionInput = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

/**
 * The conditions to write: `lastTransitionTime` is that of the previous condition of the type as long as the status is
 * the same (Kubernetes API conventions, "Typical status properties").
 * @param now wall time in milliseconds
 */
export function nextConditions(
  previous: readonly Condition[],
  wanted: readonly ConditionInput[],
  observedGeneration: number | undefined,
  now: number,
): Condition[] {
  // API conventions: seconds are precise enough, and metav1.Time drops the rest.
  const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
  return wanted.map(({ type, status, reason, message }) => {
    const before = previous.find((condition) => condition.type === type);
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : time;
    const condition = { type, status, reason, message, lastTransitionTime };
    return observedGeneration === undefined ? condition : { ...condition, observedGeneration };
  });
}

/** Reads `status.conditions` of whatever the API server sent; entries of another form are left out. */
export function conditionsOf(object: { readonly status?: unknown }): Condition[] {
  const { status } = object;
  if (typeof status !== 'object' || status === null || !('conditions' in status)) return [];
  return Array.isArray(status.conditions) ? status.conditions.filter(isCondition) : [];
}

function isCondition(value: unknown): value is Condition {
  if (typeof value !== 'object' || value === null) return false;
  return ['type', 'status', 'reason', 'message', 'lastTransitionTime'].every(
    (field) => typeof Object.getOwnPropertyDescriptor(value, field)?.value === 'string',
  );
}

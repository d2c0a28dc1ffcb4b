/** What the first process of Envoy's pod says of itself: one JSON object a line. */

const STATES = ['idle', 'starting', 'running', 'draining', 'stopped'] as const;

export interface SupervisorState {
  /** Uid of its pod. */
  readonly pod: string;
  /** Version of Envoy. */
  readonly envoy: string;
  readonly state: (typeof STATES)[number];
  readonly pid?: number;
  /** How often Envoy was started again because it died. */
  readonly restarts: number;
  /** What is wrong, as a sentence. */
  readonly error?: string;
}

const MAX_TEXT = 1024;

/** Fields that this agent does not know are ignored. @throws Error with a sentence that names the field */
export function parseSupervisorState(line: string): SupervisorState {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error('it sent a line that is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw new Error('it sent a line that is no object');
  const fields: Readonly<Record<string, unknown>> = { ...value };
  const { pod, envoy = '', pid, restarts = 0, error } = fields;
  const state = STATES.find((one) => one === fields['state']);
  if (typeof pod !== 'string' || !/^[\w.:-]{1,128}$/.test(pod))
    throw new Error('its field pod is not the uid of a pod');
  if (state === undefined) throw new Error(`its field state is none of ${STATES.join(', ')}`);
  if (typeof envoy !== 'string') throw new Error('its field envoy is not a version');
  if (!isCount(restarts)) throw new Error('its field restarts is not a number');
  if (pid !== undefined && pid !== null && !isCount(pid)) throw new Error('its field pid is not a number');
  if (error !== undefined && error !== null && typeof error !== 'string')
    throw new Error('its field error is not a text');
  return {
    pod,
    envoy: envoy.slice(0, 64),
    state,
    restarts,
    ...(isCount(pid) && pid > 0 ? { pid } : {}),
    ...(typeof error === 'string' && error !== '' ? { error: error.slice(0, MAX_TEXT) } : {}),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

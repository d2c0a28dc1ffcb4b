/** A connection is forwarded, dropped or cut; a request allowed or denied by policy, or failed for another reason. */
export const flowVerdicts = ['forwarded', 'dropped', 'revoked', 'allowed', 'denied', 'failed'] as const;
export type FlowVerdict = (typeof flowVerdicts)[number];

/** What flows tell: of connections, and requests. */
export const flowTypes = ['new', 'drop', 'revoked', 'closed', 'request'] as const;

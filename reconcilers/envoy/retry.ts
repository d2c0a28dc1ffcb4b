import type { RouteAction } from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import type { RouteRule } from '../facts.ts';
import { duration, filter, typeUrl } from './pack.ts';

type Policy = Pick<Parameters<typeof RouteAction.fromPartial>[0], 'retryPolicy'>;

/** The server has seen nothing of such a request, so that it may be sent again whatever it was. */
const UNSEEN = ['connect-failure', 'refused-stream'];

const otherHosts = filter('envoy.retry_host_predicates.previous_hosts', {
  typeUrl: typeUrl('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
  value: Buffer.alloc(0),
});

/** Beyond what the server has not seen only what the rule names: statuses, and tries that take too long. */
export function retryPolicy({ retry, timeouts: { perTry } }: RouteRule): Policy {
  if (retry === undefined && !perTry) return {};
  const { attempts = 0, backoffMs = 0, codes = [] } = retry ?? {};
  const retryOn = [...UNSEEN, ...(codes.length > 0 ? ['retriable-status-codes'] : []), ...(perTry ? ['reset'] : [])];
  return {
    retryPolicy: {
      retryOn: attempts > 0 ? retryOn.join(',') : '',
      numRetries: attempts,
      ...(perTry ? { perTryTimeout: duration(perTry) } : {}),
      retriableStatusCodes: [...codes],
      ...(backoffMs > 0 ? { retryBackOff: { baseInterval: duration(backoffMs) } } : {}),
      retryHostPredicate: [otherHosts],
      hostSelectionRetryMaxAttempts: 3n,
    },
  };
}

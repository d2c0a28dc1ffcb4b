/** HTTP filters that some routes use: there in every listener that routes, and switched off but for those. */

import type { RateLimit } from '@envoyproxy/xds-protos/envoy/config/route/v3/route_components.ts';
import { HTTPFault } from '@envoyproxy/xds-protos/envoy/extensions/filters/http/fault/v3/fault.ts';
import { LocalRateLimit } from '@envoyproxy/xds-protos/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.ts';
import { FractionalPercent_DenominatorType as Denominator } from '@envoyproxy/xds-protos/envoy/type/v3/percent.ts';
import { UInt32Value } from '@envoyproxy/xds-protos/google/protobuf/wrappers.ts';
import type { RouteFilter } from '../facts.ts';
import { duration, field, filter, pack } from './pack.ts';

const FAULT = 'envoy.filters.http.fault';
const LIMIT = 'envoy.filters.http.local_ratelimit';
const FAULT_TYPE = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const LIMIT_TYPE = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
/** Envoy refuses buckets that are filled more often, in milliseconds. */
const MIN_FILL_MS = 50;

export type Fault = Extract<RouteFilter, { kind: 'fault' }>;
export type Limit = Extract<RouteFilter, { kind: 'rateLimit' }>;

/** The limit comes first: what it refuses is not delayed. */
export const routeFilters = [
  { ...filter(LIMIT, pack(LocalRateLimit, LIMIT_TYPE, { statPrefix: 'l7' })), disabled: true },
  { ...filter(FAULT, pack(HTTPFault, FAULT_TYPE, {})), disabled: true },
];

export function perMillion(numerator: number) {
  return { numerator, denominator: Denominator.MILLION };
}

export function faultConfig({ delayMs, delayPerMillion, abortStatus, abortPerMillion }: Fault) {
  const delay = {
    faultDelaySecifier: { $case: 'fixedDelay' as const, value: duration(delayMs) },
    percentage: perMillion(delayPerMillion),
  };
  const abort = {
    errorType: { $case: 'httpStatus' as const, value: abortStatus },
    percentage: perMillion(abortPerMillion),
  };
  return {
    [FAULT]: pack(HTTPFault, FAULT_TYPE, {
      ...(delayMs > 0 && delayPerMillion > 0 ? { delay } : {}),
      ...(abortPerMillion > 0 ? { abort } : {}),
    }),
  };
}

const all = { defaultValue: { numerator: 100, denominator: Denominator.HUNDRED } };

/** A bucket of the route's own on each node, or one for each address of a client. */
export function limitConfig(limit: Limit) {
  const tokenBucket = bucket(limit);
  const common = { statPrefix: 'l7', filterEnabled: all, filterEnforced: all };
  if (!limit.perClient) return { [LIMIT]: pack(LocalRateLimit, LIMIT_TYPE, { ...common, tokenBucket }) };
  const each = pack(LocalRateLimit, LIMIT_TYPE, {
    ...common,
    // Of what has no address, which is nothing.
    tokenBucket,
    alwaysConsumeDefaultTokenBucket: false,
    // Any value.
    descriptors: [{ entries: [{ key: 'remote_address', value: '' }], tokenBucket }],
  });
  const max = UInt32Value.encode({ value: MAX_CLIENTS }).finish();
  return { [LIMIT]: { ...each, value: Buffer.concat([each.value, field(MAX_DYNAMIC_DESCRIPTORS, max)]) } };
}

/** One that asks again after so many others begins anew. */
const MAX_CLIENTS = 10_000;
/** Newer than the protos that we have; Envoy's own value is 20. */
const MAX_DYNAMIC_DESCRIPTORS = 18;

function bucket({ requests, perMs }: Limit) {
  const times = Math.ceil(MIN_FILL_MS / Math.max(1, perMs));
  const tokens = Math.min(requests * times, 0xffff_ffff);
  return { maxTokens: tokens, tokensPerFill: tokens, fillInterval: duration(perMs * times) };
}

/** Clients are told apart by the other end of their connections, see the listener's `xffNumTrustedHops`. */
export function limitActions(limit: Limit | undefined): Parameters<typeof RateLimit.fromPartial>[0][] {
  return limit?.perClient === true ? [{ actions: [{ actionSpecifier: { $case: 'remoteAddress', value: {} } }] }] : [];
}

import { checkEnvoyResource } from '../envoy/resources.ts';
import { addressRow } from '../tables/address-rows.ts';
import { policyRows } from '../tables/policy-rows.ts';
import { decodeResource } from '../tables/resource.ts';
import { serviceRows } from '../tables/service-rows.ts';
import type { Upsert } from './store.ts';

/** Which port a listener has is no part of what makes sense. */
const ANY_PORT = () => 0;

/** @throws ResourceError where no rows could be made of a resource; what passed here is not doubted again */
export function checkResource({ name, bytes }: Upsert, node: string): void {
  const resource = decodeResource(name, bytes);
  if (resource.$case === 'policySet') policyRows(name, resource.value, ANY_PORT);
  else if (resource.$case === 'address') addressRow(name, resource.value);
  else if (resource.$case === 'service') serviceRows(name, resource.value, node, ANY_PORT);
  else if (resource.$case === 'envoy') checkEnvoyResource(name, resource.value);
}

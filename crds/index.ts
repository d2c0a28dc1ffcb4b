import { ciliumClusterwideNetworkPolicyCrd, ciliumNetworkPolicyCrd } from './cilium.ts';
import { l7Route } from './l7route.ts';
import { meshService } from './meshservice.ts';
import { type CustomResourceDefinition, crdOf, type KindDefinition } from './schema/crd.ts';

export { type MeshService, meshServiceSpec } from './meshservice.ts';
export type { CustomResourceDefinition, KindDefinition } from './schema/crd.ts';

/** Weft's own kinds. */
export const kinds: readonly KindDefinition[] = [meshService, l7Route];

/** CustomResourceDefinitions of Weft's own kinds: part of the install, updated with it. */
export const weftCrds: readonly CustomResourceDefinition[] = kinds.map(crdOf);

/** Those of others, which the operator creates where they are absent and never touches afterwards. */
export const ciliumCrds: readonly CustomResourceDefinition[] = [
  ciliumNetworkPolicyCrd,
  ciliumClusterwideNetworkPolicyCrd,
];

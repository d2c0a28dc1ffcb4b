import type { Requirement } from '../../reconcilers/facts.ts';
import type { KeyReader } from '../selector.ts';

const NAMESPACE_LABELS = 'io.cilium.k8s.namespace.labels.';

/**
 * Cilium's label keys: with the source `k8s:` or `any:`, or without one. Other sources (`reserved:`, also
 * written `$`, `container:`) and the labels of clusters are not supported.
 */
export const ciliumKey: KeyReader = (written) => {
  const colon = written.indexOf(':');
  const source = colon < 0 ? 'any' : written.slice(0, colon);
  const key = written.slice(colon + 1);
  if ((source !== 'k8s' && source !== 'any') || written.startsWith('$')) return undefined;
  if (key === 'io.kubernetes.pod.namespace') return { scope: 'namespace', key: '' };
  if (key === 'io.cilium.k8s.policy.serviceaccount') return { scope: 'service-account', key: '' };
  if (key.startsWith(NAMESPACE_LABELS)) return { scope: 'namespace-label', key: key.slice(NAMESPACE_LABELS.length) };
  if (key.startsWith('io.cilium.k8s.policy.')) return undefined;
  return key === '' ? undefined : { scope: 'pod-label', key };
};

/** Then a peer of a namespaced policy is not limited to the policy's own namespace. */
export function namesNamespace(selector: readonly Requirement[]): boolean {
  return selector.some(({ scope }) => scope === 'namespace' || scope === 'namespace-label');
}

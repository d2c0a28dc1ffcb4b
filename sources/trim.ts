import { SOURCE_RANGES } from './core/service.ts';
import type { SourceKind } from './index.ts';
import { get, isRecord, list } from './parse.ts';

const METADATA = [
  'namespace',
  'name',
  'uid',
  'resourceVersion',
  'generation',
  'labels',
  'creationTimestamp',
  'deletionTimestamp',
] as const;

/** What a store needs to keep of an object for `translate` to say the same: most of a Pod is left out. */
export function trim(kind: SourceKind, object: unknown): object {
  if (!isRecord(object)) return {};
  const base = { ...pick(object, ['apiVersion', 'kind']), metadata: pick(get(object, 'metadata'), METADATA) };
  switch (kind) {
    case 'Namespace':
      return base;
    case 'Pod':
      return { ...base, spec: trimPodSpec(get(object, 'spec')), status: trimPodStatus(get(object, 'status')) };
    case 'Node':
      return {
        ...base,
        spec: pick(get(object, 'spec'), ['podCIDR', 'podCIDRs']),
        status: pick(get(object, 'status'), ['addresses']),
      };
    case 'EndpointSlice':
      return { ...base, ...pick(object, ['addressType', 'ports', 'endpoints']) };
    case 'Service':
      return { ...base, metadata: { ...base.metadata, ...sourceRanges(object) }, ...pick(object, ['spec', 'status']) };
    default:
      return { ...base, ...pick(object, ['spec', 'specs', 'status']) };
  }
}

function sourceRanges(service: unknown): object {
  const annotations = pick(get(service, 'metadata', 'annotations'), [SOURCE_RANGES]);
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

function trimPodSpec(spec: unknown): object {
  const init = list(get(spec, 'initContainers')).filter((container) => get(container, 'restartPolicy') === 'Always');
  return {
    ...pick(spec, ['nodeName', 'serviceAccountName', 'hostNetwork']),
    containers: withPorts(list(get(spec, 'containers')), ['ports']),
    initContainers: withPorts(init, ['ports', 'restartPolicy']),
  };
}

function withPorts(containers: readonly unknown[], fields: readonly string[]): object[] {
  return containers.filter((container) => get(container, 'ports') !== undefined).map((c) => pick(c, fields));
}

function trimPodStatus(status: unknown): object {
  return pick(status, ['phase', 'podIP', 'podIPs']);
}

function pick(object: unknown, fields: readonly string[]): object {
  return Object.fromEntries(
    fields.flatMap((name) => (get(object, name) === undefined ? [] : [[name, get(object, name)]])),
  );
}

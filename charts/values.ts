/** What an install can be told. Everything has a default but the images. */
export interface InstallValues {
  readonly agentImage: string;
  readonly operatorImage: string;
  readonly envoyImage: string;
  /** https://host:port under which nodes reach the API server without Services; "" takes what the pods' environment
   * says, which needs a Service implementation that is not Weft's own. */
  readonly apiServer: string;
  /** Directory of the node's cgroup2 file system. */
  readonly cgroup?: string;
  /** Of pods' devices, bytes; by default the underlay's less 80. */
  readonly mtu?: number;
  /** Replicas of the operator, 1 if not told. */
  readonly replicas?: number;
  /** Memory limit of Envoy's pod in MiB, 512 if not told; from 80 % of it on Envoy refuses new work. */
  readonly envoyMemoryMi?: number;
  /** Envoy's worker threads on each node, 2 if not told. */
  readonly envoyConcurrency?: number;
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
}

export const namespace = 'weft-system';

export const labelsOf = (component: string): Readonly<Record<string, string>> => ({
  'app.kubernetes.io/name': component,
  'app.kubernetes.io/part-of': 'weft',
});

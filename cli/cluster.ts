/** Which cluster, as whom, and in which namespace. */
import { existsSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient } from 'kopf-ts';

export interface ClusterFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
}

export interface ClusterAccess {
  readonly config: KubeConfig;
  readonly client: KubeClient;
  /** Of the context; `default` if it names none. */
  readonly namespace: string;
  readonly close: () => void;
}

/** @throws Error with a sentence where there is no such file or context */
export function openCluster(flags: ClusterFlags, environment: NodeJS.ProcessEnv): ClusterAccess {
  const config = loadConfig(flags, environment);
  const client = new KubeClient(config);
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
  return { config, client, namespace: namespace || 'default', close: () => client.close() };
}

export function loadConfig({ kubeconfig, context }: ClusterFlags, environment: NodeJS.ProcessEnv): KubeConfig {
  const config = new KubeConfig();
  const listed = (environment.KUBECONFIG ?? '').split(':').filter((file) => file !== '');
  const missing = kubeconfig === undefined ? listed.filter((file) => !existsSync(file)) : [];
  if (kubeconfig !== undefined) {
    if (!existsSync(kubeconfig)) throw new Error(`there is no kubeconfig at ${kubeconfig}: look at --kubeconfig`);
    read(kubeconfig, () => config.loadFromFile(kubeconfig));
  } else if (missing.length > 0) {
    throw new Error(`there is no kubeconfig at ${missing.join(', ')}: look at the variable KUBECONFIG`);
  } else {
    read(listed.join(', ') || '~/.kube/config', () => config.loadFromDefault());
    // What the client makes up where it finds nothing.
    if (config.getCurrentCluster()?.name === 'loaded-from-default' || config.getCurrentContext() === 'loaded-context') {
      if (config.getCurrentCluster()?.server === 'http://localhost:8080') throw new Error(NO_CONFIG);
    }
  }
  if (context !== undefined) choose(config, context);
  if (config.getCurrentCluster() === null) {
    throw new Error(`the kubeconfig has no current context: choose one with --context (${contexts(config)})`);
  }
  return config;
}

const NO_CONFIG =
  'there is no kubeconfig: set the variable KUBECONFIG or --kubeconfig to the file that names the cluster';

function choose(config: KubeConfig, context: string): void {
  if (config.getContextObject(context) === null) {
    throw new Error(`the kubeconfig has no context ${context}: it has ${contexts(config)}`);
  }
  config.setCurrentContext(context);
}

function contexts(config: KubeConfig): string {
  return (
    config
      .getContexts()
      .map(({ name }) => name)
      .join(', ') || 'none'
  );
}

function read(file: string, load: () => void): void {
  try {
    load();
  } catch (cause) {
    throw new Error(`the kubeconfig ${file} can't be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

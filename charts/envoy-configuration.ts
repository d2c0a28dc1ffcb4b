/** Envoy's configuration as objects to look at. They are not for the API server: the operator sends them to the agents. */
import { ApiObject, App, Chart } from 'cdk8s';
import { Construct } from 'constructs';
import type { ShownResource } from '../reconcilers/envoy/show.ts';

/** A resource of Envoy's, and what is said about it. */
export interface ConfiguredResource extends ShownResource {
  readonly annotations: Readonly<Record<string, string>>;
}

/** What builders of `reconcilers/envoy/` made: one object for each resource, its message as `spec`. */
export class EnvoyConfiguration extends Construct {
  constructor(scope: Construct, id: string, resources: readonly ConfiguredResource[]) {
    super(scope, id);
    for (const [index, { type, name, config, annotations }] of resources.entries()) {
      const metadata = { name, ...(Object.keys(annotations).length === 0 ? {} : { annotations: { ...annotations } }) };
      new ApiObject(this, String(index), { ...kindOf(type), metadata, spec: config });
    }
  }
}

/** envoy.config.listener.v3.Listener is kind Listener of envoy.config.listener/v3. */
function kindOf(type: string): { apiVersion: string; kind: string } {
  const parts = type.split('.');
  return { apiVersion: `${parts.slice(0, -2).join('.')}/${parts.at(-2)}`, kind: parts.at(-1) ?? '' };
}

/** In the order given. */
export function envoyObjects(resources: readonly ConfiguredResource[]): object[] {
  const chart = new Chart(new App(), 'envoy', { disableResourceNameHashes: true });
  new EnvoyConfiguration(chart, 'configuration', resources);
  return chart.toJson() as object[];
}

/** What an install consists of, as cdk8s constructs and as plain objects. */
import { ApiObject, App, Chart } from 'cdk8s';
import { weftCrds } from '../crds/index.ts';
import { Agent } from './agent.ts';
import { Envoy } from './envoy.ts';
import { Operator } from './operator.ts';
import { type InstallValues, labelsOf, namespace } from './values.ts';

export type { InstallValues } from './values.ts';

/** All of Weft. */
class Weft extends Chart {
  constructor(scope: App, values: InstallValues) {
    super(scope, 'weft', { disableResourceNameHashes: true });
    new ApiObject(this, 'namespace', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        // The agent is privileged and on the host network, and nothing else has a place here.
        labels: { ...labelsOf('weft'), 'pod-security.kubernetes.io/enforce': 'privileged' },
      },
    });
    for (const crd of weftCrds) new ApiObject(this, crd.metadata.name.replaceAll('.', '-'), { ...crd });
    new Operator(this, 'operator', values);
    new Agent(this, 'agent', values);
    new Envoy(this, 'envoy', values);
  }
}

/** The objects of an install in the order in which to apply them: namespace and CRDs first. */
export function installObjects(values: InstallValues): object[] {
  return new Weft(new App(), values).toJson() as object[];
}

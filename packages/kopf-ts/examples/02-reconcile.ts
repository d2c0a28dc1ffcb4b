/** Keeps a copy of each ConfigMap that asks for one, and repairs it when somebody changes it. */
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, keyOf, Operator, objectController, run, source, TemporaryError } from 'kopf-ts';
import { configMaps } from './kinds.ts';

const label = 'example.dev/copy-to';
const config = new KubeConfig();
config.loadFromDefault();
const client = new KubeClient(config);
const operator = new Operator({ client });
const store = operator.watch(configMaps, { namespace: 'default' });

operator.add(
  objectController({
    name: 'copies',
    store,
    // A changed copy makes its original worth a look.
    also: [
      source(store, ({ metadata }) =>
        metadata.labels?.['example.dev/copy-of'] ? [`default/${metadata.labels['example.dev/copy-of']}`] : [],
      ),
    ],
    async reconcile(original, { signal }) {
      const name = original.metadata.labels?.[label];
      if (name === undefined) return undefined;
      if (name === original.metadata.name) throw new TemporaryError('an object can not be its own copy', 10_000);
      const labels = { 'example.dev/copy-of': original.metadata.name };
      const copy = { metadata: { namespace: 'default', name, labels }, data: original.data ?? {} };
      await client.apply(configMaps, copy, { fieldManager: 'example-copies', signal });
      console.log(`copied ${keyOf(original.metadata)} to ${name}`);
      return undefined;
    },
  }),
);

await run(operator);
console.log('stopped');

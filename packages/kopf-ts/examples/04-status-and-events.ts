/** Says on each Service whether it selects anything: a condition, and an event when it does not. */
import { KubeConfig } from '@kubernetes/client-node';
import {
  EventRecorder,
  KubeClient,
  Operator,
  objectController,
  RateLimit,
  run,
  StatusWriter,
  systemClock,
} from 'kopf-ts';
import { services } from './kinds.ts';

const config = new KubeConfig();
config.loadFromDefault();
const client = new KubeClient(config);
const operator = new Operator({ client });
const limit = new RateLimit({ perSecond: 20, burst: 50, clock: systemClock });
const statuses = new StatusWriter({ client, fieldManager: 'example-selectors', limit });
const events = new EventRecorder({ client, controller: 'example.dev/selectors', instance: `pid-${process.pid}` });
operator.atStop(() => events.flush());

operator.add(
  objectController({
    name: 'selectors',
    store: operator.watch(services, { namespace: 'default' }),
    async reconcile(service, { signal }) {
      const selects = Object.keys(service.spec.selector ?? {}).length > 0;
      const condition = selects
        ? ({
            type: 'example.dev/Selects',
            status: 'True',
            reason: 'HasSelector',
            message: 'it has a selector',
          } as const)
        : ({
            type: 'example.dev/Selects',
            status: 'False',
            reason: 'NoSelector',
            message: 'it has no selector',
          } as const);
      const written = await statuses.write(services, service, { conditions: [condition] }, signal);
      if (written) console.log(`${service.metadata.name} selects: ${condition.status}`);
      if (written && !selects) {
        events.emit({
          kind: services,
          object: service,
          type: 'Warning',
          reason: 'NoSelector',
          action: 'Check',
          note: condition.message,
        });
      }
      return undefined;
    },
  }),
);

await run(operator);
console.log('stopped');

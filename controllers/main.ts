import { randomBytes } from 'node:crypto';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient, serviceAccountConfig } from 'kopf-ts';
import { ControlSocket } from './control/socket.ts';
import { asError } from './errors.ts';
import { HealthServer } from './health.ts';
import { WeftOperator } from './operator.ts';
import { type OperatorFlags, parseFlags } from './options.ts';
import { startTelemetry } from './telemetry.ts';

const VERSION = process.env.WEFT_VERSION ?? '0.1.0';

/** What others wrote must not steer a terminal that shows the log. */
function log(line: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const plain = line.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  process.stderr.write(`${new Date().toISOString()} ${plain}\n`);
}

function kubeConfig({ apiServer }: OperatorFlags): KubeConfig {
  const inPod = (process.env.KUBECONFIG ?? '') === '';
  if (apiServer !== undefined && inPod) return serviceAccountConfig({ server: apiServer });
  const config = new KubeConfig();
  config.loadFromDefault();
  return config;
}

function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      log(`${name}: stopping`);
      stop.abort();
    });
  }
  return stop.signal;
}

async function main(flags: OperatorFlags): Promise<void> {
  const signal = stopSignal();
  const stopTelemetry = await startTelemetry(process.env, VERSION, log);
  const client = new KubeClient(kubeConfig(flags));
  const operator = new WeftOperator({ ...flags, client, version: VERSION, log });
  const health = new HealthServer({ broken: () => operator.broken, waiting: () => operator.waiting });
  const control = new ControlSocket(flags.controlSocket, {
    status: () => operator.snapshot(),
    nodes: () => operator.snapshot().nodes,
    policies: () => operator.snapshot().policies,
    'mesh-services': () => operator.snapshot().meshServices,
    version: () => operator.snapshot().operator,
  });
  await control.listen();
  log(`health on 127.0.0.1:${await health.listen(flags.healthPort)}`);
  try {
    await operator.run(signal);
  } finally {
    await control.close();
    health.close();
    client.close();
    await stopTelemetry();
  }
}

const parsed = parseFlags(process.argv.slice(2), process.env, randomBytes(3).toString('hex'));
switch (parsed.tag) {
  case 'help':
    process.stdout.write(parsed.text);
    break;
  case 'wrong':
    process.stderr.write(`${parsed.message}\n`);
    process.exitCode = 2;
    break;
  case 'run':
    // What no promise handles is a mistake of ours, not a reason to leave the agents alone.
    process.on('unhandledRejection', (thrown) => log(`unhandled: ${asError(thrown).stack ?? ''}`));
    main(parsed.flags).then(
      () => process.exit(0),
      (thrown: unknown) => {
        log(asError(thrown).message);
        process.exit(1);
      },
    );
}

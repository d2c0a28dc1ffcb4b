/** The node process. Reads flags, starts the parts, stops them on a signal. */
import { join } from 'node:path';
import { Agent } from './agent.ts';
import { answer } from './control/commands.ts';
import { serveControl } from './control/server.ts';
import { type Flags, parseFlags, usage } from './flags.ts';
import { messageOf } from './lib/errors.ts';
import { serveHealth } from './lib/health.ts';
import { log } from './lib/log.ts';
import { OperatorLink } from './operator/link.ts';

async function run(flags: Flags): Promise<void> {
  const agent = new Agent(flags, log);
  const link = new OperatorLink({
    node: flags.nodeName,
    namespace: flags.namespace,
    api: { server: flags.apiServer, accountDir: flags.accountDir },
    tokenFile: flags.tokenFile,
    cacheFile: join(flags.runDir, 'operators.json'),
    reports: agent.reports,
    held: agent.store.versions(),
    onBatch: (batch) => agent.onBatch(batch),
    log,
  });
  const health = await serveHealth(flags.healthPort, () => agent.unready());
  const context = { agent, node: flags.nodeName, link: () => link.state };
  const control = await serveControl(join(flags.runDir, 'agent.sock'), (request, ended) =>
    answer(request, context, ended),
  );
  link.start();
  await agent.start();
  log('started', { node: flags.nodeName });

  const stop = async (signal: string): Promise<void> => {
    log('stopping', { signal });
    setTimeout(() => process.exit(1), 8_000).unref();
    health.close();
    control.close();
    await link.stop();
    await agent.stop();
    process.exit(0);
  };
  process.once('SIGTERM', (signal) => void stop(signal));
  process.once('SIGINT', (signal) => void stop(signal));
}

process.on('unhandledRejection', (reason) => log('unhandled', { error: messageOf(reason) }));
try {
  const flags = parseFlags(process.argv.slice(2), process.env);
  if (flags === undefined) process.stdout.write(usage());
  else await run(flags);
} catch (error) {
  log('the agent can not start', { error: messageOf(error) });
  process.exitCode = 1;
}

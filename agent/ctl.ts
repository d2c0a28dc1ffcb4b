/**
 * Asks the agent that runs in the same pod: `node agentctl.mjs flows --follow --pod shop/frontend`. Each flag becomes a
 * field of the request. Prints lines of JSON; exits with 1 and a sentence on standard error if there is no answer.
 */
import { connect } from 'node:net';

function requestOf(args: readonly string[]): { path: string; request: Record<string, unknown> } {
  const request: Record<string, unknown> = {};
  let path = process.env['WEFT_CONTROL_SOCKET'] ?? '/run/weft/agent.sock';
  for (let i = 0; i < args.length; i++) {
    const [, flag, inline] = /^--([a-z-]+)(?:=(.*))?$/s.exec(args[i] ?? '') ?? [];
    if (flag === undefined) {
      request['command'] ??= args[i];
      continue;
    }
    const next = args[i + 1];
    const value = inline ?? (next !== undefined && !next.startsWith('--') ? args[++i] : true);
    if (flag === 'socket' && typeof value === 'string') path = value;
    else request[flag] = value;
  }
  return { path, request };
}

function ask(path: string, request: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    let rest = '';
    const socket = connect(path, () => socket.write(`${JSON.stringify(request)}\n`));
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const answer: unknown = JSON.parse(line);
        if (typeof answer !== 'object' || answer === null) continue;
        if ('error' in answer) reject(new Error(String(answer.error)));
        else if ('ok' in answer) process.stdout.write(`${JSON.stringify(answer.ok)}\n`);
      }
    });
    socket.on('error', (error) => reject(new Error(`${path}: ${error.message}; does the agent run in this pod?`)));
    socket.on('close', () => resolve());
  });
}

const { path, request } = requestOf(process.argv.slice(2));
if (request['command'] === undefined) {
  process.stderr.write(
    'usage: agentctl status | flows | explain | dump | metrics [--field value]... [--socket PATH]\n',
  );
  process.exitCode = 2;
} else {
  process.stdout.on('error', () => process.exit(0));
  await ask(path, request).catch((error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}

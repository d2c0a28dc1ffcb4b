import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { CONTROL_SOCKET } from './control/path.ts';

/**
 * Asks the operator that runs in the same pod: `node ctl.mjs status`. Prints the answer as one line of JSON; exits with
 * 1 and a sentence on stderr if there is none.
 */
function ask(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(path, () => socket.write(`${JSON.stringify({ command })}\n`));
    socket.setEncoding('utf8');
    socket.setTimeout(30_000, () => socket.destroy(new Error('the operator did not answer within 30 s')));
    socket.on('data', (text: string) => {
      answer += text;
      if (!answer.endsWith('\n')) return;
      socket.end();
      resolve(answer);
    });
    socket.on('error', (error) => reject(new Error(`${path}: ${error.message}; does the operator run in this pod?`)));
    socket.on('close', () => reject(new Error(`${path}: the operator closed the connection without an answer`)));
  });
}

const { values, positionals } = parseArgs({
  options: { socket: { type: 'string', default: CONTROL_SOCKET }, help: { type: 'boolean', short: 'h' } },
  allowPositionals: true,
});
const [command] = positionals;
if (values.help === true || command === undefined) {
  console.log('usage: ctl COMMAND [--socket PATH]\ncommands: status, nodes, policies, mesh-services, version');
  process.exitCode = values.help === true ? 0 : 2;
} else {
  try {
    const answer: unknown = JSON.parse(await ask(values.socket, command));
    if (typeof answer !== 'object' || answer === null) throw new Error('the answer is not an object');
    if ('error' in answer) throw new Error(String(answer.error));
    console.log(JSON.stringify('ok' in answer ? answer.ok : answer));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

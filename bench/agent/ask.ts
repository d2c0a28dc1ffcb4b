import { connect } from 'node:net';

/** Asks an agent on its control socket. @returns its reply lines */
export function askAgent(socketPath: string, request: object): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(socketPath, () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      const lines = text.split('\n').filter((line) => line !== '');
      const refused = lines.find((line) => line.startsWith('{"error"'));
      if (refused === undefined) resolve(lines);
      else reject(new Error(`the agent refused ${JSON.stringify(request)}: ${refused}`));
    });
  });
}

import { createServer, type Server } from 'node:http';

/** /healthz: the process answers; /readyz: 200, or 503 with the reason. Port 0: any. */
export function serveHealth(port: number, unready: () => string | undefined): Promise<Server> {
  const server = createServer((request, response) => {
    const reason = request.url === '/readyz' ? unready() : undefined;
    const known = request.url === '/healthz' || request.url === '/readyz';
    response.writeHead(known ? (reason === undefined ? 200 : 503) : 404, { 'content-type': 'text/plain' });
    response.end(`${known ? (reason ?? 'ok') : 'not found'}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

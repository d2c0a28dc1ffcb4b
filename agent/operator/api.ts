/** The two objects that an agent reads from the API server, by plain GET: where the operator is, and its CA. */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';

export interface ApiOptions {
  /** "https://10.0.0.1:6443" */
  readonly server: string;
  /** Folder with the service account's token and ca.crt; read for each request, tokens rotate. */
  readonly accountDir: string;
  readonly timeoutMs?: number;
}

const MAX_BODY = 1 << 20;

/** The object at a path. @throws Error with the server's words where the answer is not 200 */
export function getObject({ server, accountDir, timeoutMs = 5_000 }: ApiOptions, path: string): Promise<unknown> {
  const token = readFileSync(join(accountDir, 'token'), 'utf8').trim();
  const agent = new Agent({ keepAlive: false, ca: readFileSync(join(accountDir, 'ca.crt')) });
  return new Promise((resolve, reject) => {
    const call = request(
      new URL(path, server),
      { agent, headers: { authorization: `Bearer ${token}` } },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
          if (body.length > MAX_BODY)
            call.destroy(new Error(`GET ${path}: the answer is larger than ${MAX_BODY} bytes`));
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode !== 200) {
            reject(new Error(`GET ${path}: ${response.statusCode} ${body.slice(0, 300)}`));
            return;
          }
          try {
            resolve(JSON.parse(body));
          } catch {
            reject(new Error(`GET ${path}: the answer is not JSON`));
          }
        });
      },
    );
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`GET ${path}: no answer within ${timeoutMs} ms`)));
    call.on('error', reject);
    call.end();
  });
}

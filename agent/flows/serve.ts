import { join } from 'node:path';
import { serveRecords } from 'bpf-loader-napi';
import { ENVOY_GROUP, makeSocketDirectory } from '../lib/unix-socket.ts';
import type { FlowLog } from './log.ts';

/** Takes the records of requests that Envoy's supervisor forwards. @throws Error with a sentence */
export function serveRequests(envoyDir: string, flows: FlowLog): { stop(): void } {
  makeSocketDirectory(envoyDir, ENVOY_GROUP);
  return serveRecords({ path: join(envoyDir, 'records.sock'), group: ENVOY_GROUP }, (batch, lost) =>
    flows.pushRequests(batch, lost),
  );
}

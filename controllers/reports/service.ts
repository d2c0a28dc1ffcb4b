import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { NodeReport, ReportAck, ReportsServer } from '@weft/node-api';
import type { PeerOf } from '../trust/peer.ts';
import { BadReport, type ReportStore } from './store.ts';

export interface ReportsOptions {
  readonly store: ReportStore;
  readonly peerOf: PeerOf;
  readonly log: (line: string) => void;
}

type ReportCall = ServerDuplexStream<NodeReport, ReportAck>;

/** Takes in the agents' reports; see `Reports` in operator.proto. A node reports of itself only: its certificate says. */
export function reportsService({ store, peerOf, log }: ReportsOptions): ReportsServer {
  return {
    report(call: ReportCall) {
      const peer = peerOf(call);
      if ('refused' in peer) {
        log(`reports from ${call.getPeer()} refused: ${peer.refused}`);
        end(call, status.PERMISSION_DENIED, peer.refused);
        return;
      }
      const { node } = peer;
      let received = 0n;
      const leave = (): void => store.disconnect(node, call);
      call.on('data', (report: NodeReport) => {
        try {
          store.receive(node, call, report);
          received++;
          // Who does not read the answers is not read either: they would pile up here.
          if (!call.write({ received })) call.pause().once('drain', () => call.resume());
        } catch (thrown) {
          if (!(thrown instanceof BadReport)) throw thrown;
          log(`report of node ${node} refused: ${thrown.message}`);
          leave();
          call.removeAllListeners('data');
          end(call, status.INVALID_ARGUMENT, thrown.message);
        }
      });
      call.on('end', () => {
        leave();
        call.end();
      });
      for (const event of ['error', 'close', 'cancelled']) call.on(event, leave);
    },
  };
}

function end(call: ReportCall, code: status, details: string): void {
  call.emit('error', Object.assign(new Error(details), { code, details }));
}

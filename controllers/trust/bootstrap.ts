import { verify } from 'node:crypto';
import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { BootstrapServer, CertifyRequest, CertifyResponse } from '@weft/node-api';
import { asError } from '../errors.ts';
import { type CertificateAuthority, parsePublicKey } from './ca.ts';
import { type ReviewOptions, reviewToken, Unproven } from './review.ts';

export interface BootstrapOptions extends ReviewOptions {
  readonly authority: CertificateAuthority;
  /** Wall time in milliseconds. */
  readonly now: () => number;
  /** Reviews that may be under way at once; by default 32. The door is open to everyone who reaches the port. */
  readonly concurrency?: number;
  readonly log: (line: string) => void;
}

/** Certificates for agents that prove where they run; see `Bootstrap` in operator.proto. */
export function bootstrapService(options: BootstrapOptions): BootstrapServer {
  const { concurrency = 32, log } = options;
  let underWay = 0;
  return {
    certify(call: ServerUnaryCall<CertifyRequest, CertifyResponse>, done: sendUnaryData<CertifyResponse>) {
      if (underWay >= concurrency) {
        done({ code: status.RESOURCE_EXHAUSTED, details: 'too many agents ask for certificates at once; try again' });
        return;
      }
      underWay++;
      certify(call.request, options)
        .then(
          (response) => done(null, response),
          (thrown: unknown) => {
            const refused = thrown instanceof Unproven;
            const { message } = asError(thrown);
            log(`certificate for ${call.getPeer()} ${refused ? 'refused' : 'failed'}: ${message}`);
            done({ code: refused ? status.PERMISSION_DENIED : status.UNAVAILABLE, details: message });
          },
        )
        .finally(() => {
          underWay--;
        });
    },
  };
}

/** @throws Unproven if the request does not show what it must */
async function certify(request: CertifyRequest, options: BootstrapOptions): Promise<CertifyResponse> {
  // What costs nothing is checked first: a request without a valid proof makes no work for the API server.
  checkProof(request);
  const { node } = await reviewToken(request.token, options);
  const { authority, now } = options;
  const certificatePem = await authority.issueAgent(node, request.publicKey, now());
  return { certificatePem, caPem: authority.certificatePem, node };
}

function checkProof({ token, publicKey, proof }: CertifyRequest): void {
  const refuse = (message: string): never => {
    throw new Unproven(message);
  };
  let valid = false;
  try {
    valid = verify('sha256', Buffer.from(`weft certify\n${token}`), parsePublicKey(publicKey), proof);
  } catch (thrown) {
    refuse(asError(thrown).message);
  }
  if (!valid) refuse('the proof was not made with the private key of public_key over this token');
}

import { agentOf, type CertificateAuthority, type Peer } from './ca.ts';

/** A call as far as its client's certificate is concerned. */
interface AuthenticatedCall {
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Buffer } | undefined } | null;
}

/** The node whose agent is at the other end of a call, by its certificate alone. */
export type PeerOf = (call: AuthenticatedCall) => Peer;

/** TLS itself showed that the client holds the key; whether the certificate is one of ours is checked here. */
export function peerOf(authority: CertificateAuthority, now: () => number): PeerOf {
  return (call) => {
    const raw = call.getAuthContext()?.sslPeerCertificate?.raw;
    if (raw === undefined) return { refused: 'this needs a client certificate; Bootstrap.Certify gives one' };
    return agentOf(raw, authority.certificate, now());
  };
}

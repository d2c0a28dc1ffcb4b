import { webcrypto } from 'node:crypto';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';
import { x509 } from '../../../controllers/trust/x509.ts';
import { ResourceCache } from './cache.ts';
import { refusal } from './errors.ts';
import { AdsServer } from './server.ts';
import type { AdsCall } from './stream.ts';
import { follow, listen, thing, until } from './testing/loopback.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
x509.cryptoProvider.set(webcrypto);

/** A certificate authority that makes PEM key pairs for common names. */
async function authority() {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=test',
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  const issue = async (name: string) => {
    const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: root.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
    });
    const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', own.privateKey), 'PRIVATE KEY');
    return { key: Buffer.from(key), certificate: Buffer.from(certificate.toString('pem')) };
  };
  return { ca: Buffer.from(root.toString('pem')), issue };
}

test('over mutual TLS the certificate decides, a renewed one is used on reconnect, a stranger gets nothing', async () => {
  const [ours, foreign] = [await authority(), await authority()];
  const cache = new ResourceCache();
  for (const view of ['node-a', 'node-b']) {
    cache.commit({ views: new Map([[view, { upserts: [thing('who', view)] }]]) });
  }
  const authorize = (call: AdsCall) => {
    const name = call.getAuthContext().sslPeerCertificate?.subject.CN;
    return typeof name === 'string' ? { view: name } : { refused: refusal('UNAUTHENTICATED', 'no certificate') };
  };
  const server = new Server();
  new AdsServer({ cache, authorize }).addTo(server);
  const own = await ours.issue('operator');
  const pair = { private_key: own.key, cert_chain: own.certificate };
  await using listening = await listen(server, ServerCredentials.createSsl(ours.ca, [pair], true));

  const channelOptions = { 'grpc.ssl_target_name_override': 'operator' };
  let identity = await ours.issue('node-a');
  await using follower = follow([listening.target], {
    // What a client says of itself must not matter.
    node: { id: 'node-b' },
    channelOptions,
    credentials: () => credentials.createSsl(ours.ca, identity.key, identity.certificate),
  });
  await until(() => follower.state.get('who') === 'node-a');
  identity = await ours.issue('node-b');
  follower.client.reconnect();
  await until(() => follower.state.get('who') === 'node-b');

  const stranger = await foreign.issue('node-a');
  await using refused = follow([listening.target], {
    channelOptions,
    connectTimeoutMs: 300,
    credentials: () => credentials.createSsl(ours.ca, stranger.key, stranger.certificate),
  });
  await using deceived = follow([listening.target], {
    channelOptions,
    connectTimeoutMs: 300,
    credentials: () => credentials.createSsl(foreign.ca, identity.key, identity.certificate),
  });
  await until(() => refused.failures.length > 0 && deceived.failures.length > 0);
  expect([refused.batches, deceived.batches]).toEqual([[], []]);
});

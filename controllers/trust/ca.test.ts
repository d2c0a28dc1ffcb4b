import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import {
  agentOf,
  CA_LIFETIME_MS,
  CertificateAuthority,
  createCa,
  type KeyedCertificate,
  LEAF_LIFETIME_MS,
  parsePublicKey,
} from './ca.ts';

const NOW = Date.UTC(2026, 0, 1);

function spki(namedCurve = 'P-256'): Buffer {
  return generateKeyPairSync('ec', { namedCurve }).publicKey.export({ type: 'spki', format: 'der' });
}

async function authority(): Promise<CertificateAuthority> {
  return CertificateAuthority.load(await createCa(NOW), NOW);
}

describe('the built-in CA', () => {
  test("an agent's certificate names its node, and nothing else does", async () => {
    const ca = await authority();
    const leaf = new X509Certificate(await ca.issueAgent('node-a.example', spki(), NOW));
    expect(leaf.subjectAltName).toBe('URI:spiffe://cluster.local/weft/agent/node-a.example');
    expect(agentOf(leaf.raw, ca.certificate, NOW)).toEqual({
      node: 'node-a.example',
      until: NOW + LEAF_LIFETIME_MS,
    });
    expect(leaf.ca).toBe(false);
  });

  test('a certificate of another CA of the same kind is refused', async () => {
    const [ours, theirs] = [await authority(), await authority()];
    const leaf = new X509Certificate(await theirs.issueAgent('node-a', spki(), NOW));
    expect(agentOf(leaf.raw, ours.certificate, NOW)).toEqual({
      refused: "the client certificate was not issued by this cluster's Weft CA",
    });
  });

  test('a certificate is good for its time only', async () => {
    const ca = await authority();
    const { raw } = new X509Certificate(await ca.issueAgent('node-a', spki(), NOW));
    expect(agentOf(raw, ca.certificate, NOW + LEAF_LIFETIME_MS + 1000)).toEqual({
      refused: 'the client certificate has expired',
    });
    expect(agentOf(raw, ca.certificate, NOW - 3_600_000)).toEqual({
      refused: 'the client certificate is not valid yet',
    });
  });

  test("the operator's own certificate is for servers: no agent can be made of it", async () => {
    const ca = await authority();
    const { certificatePem } = await ca.issueOperator('weft-operator.weft-system.svc', NOW);
    const leaf = new X509Certificate(certificatePem);
    expect(leaf.checkHost('weft-operator.weft-system.svc')).toBeDefined();
    expect(leaf.subjectAltName).toContain('URI:spiffe://cluster.local/weft/operator');
    expect(agentOf(leaf.raw, ca.certificate, NOW)).toEqual({ refused: 'the certificate is not for clients' });
  });

  test('bytes that are no certificate are refused', async () => {
    const ca = await authority();
    expect(agentOf(Buffer.from('not a certificate'), ca.certificate, NOW)).toEqual({
      refused: 'the client certificate is damaged',
    });
  });

  test('a key and a certificate that do not belong together are not loaded', async () => {
    const [one, other] = [await createCa(NOW), await createCa(NOW)];
    await expect(CertificateAuthority.load({ ...one, keyPem: other.keyPem }, NOW)).rejects.toThrow(
      /do not belong together/,
    );
  });

  test.each([
    ['has no certificate', (pair: KeyedCertificate) => ({ ...pair, certificatePem: '' }), 'the certificate is missing'],
    ['has no key', (pair: KeyedCertificate) => ({ ...pair, keyPem: '' }), 'the private key is missing'],
    [
      'has another text for a key',
      (pair: KeyedCertificate) => ({ ...pair, keyPem: 'x' }),
      'the private key is not valid PEM',
    ],
    [
      'has its key where the certificate belongs',
      (pair: KeyedCertificate) => ({ ...pair, certificatePem: pair.keyPem }),
      'the certificate is not valid PEM',
    ],
    [
      'has a key of another kind',
      (pair: KeyedCertificate) => ({
        ...pair,
        keyPem: String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
      }),
      'the private key is not a P-256 key',
    ],
  ])('a CA that %s is not loaded, and the sentence names the part', async (_what, damage, sentence) => {
    await expect(CertificateAuthority.load(damage(await createCa(NOW)), NOW)).rejects.toThrow(sentence);
  });

  test('a CA that has expired, or is no CA, is not loaded', async () => {
    const pair = await createCa(NOW);
    await expect(CertificateAuthority.load(pair, NOW + CA_LIFETIME_MS + 1000)).rejects.toThrow(
      /has expired on 2035-12-30/,
    );
    const leaf = await (await authority()).issueOperator('x.example', NOW);
    await expect(CertificateAuthority.load(leaf, NOW)).rejects.toThrow('the certificate is not that of a CA');
  });

  test('only P-256 keys get a certificate', () => {
    expect(() => parsePublicKey(spki('P-384'))).toThrow('public_key is not a P-256 key');
    expect(() => parsePublicKey(Buffer.from('x'))).toThrow(/not a public key in SPKI form/);
    expect(parsePublicKey(spki()).asymmetricKeyType).toBe('ec');
  });
});

import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { agentOf, CertificateAuthority, createCa, LEAF_LIFETIME_MS, parsePublicKey } from './ca.ts';

const NOW = Date.UTC(2026, 0, 1);

function spki(namedCurve = 'P-256'): Buffer {
  return generateKeyPairSync('ec', { namedCurve }).publicKey.export({ type: 'spki', format: 'der' });
}

async function authority(): Promise<CertificateAuthority> {
  return CertificateAuthority.load(await createCa(NOW));
}

describe('the built-in CA', () => {
  test("an agent's certificate names its node, and nothing else does", async () => {
    const ca = await authority();
    const leaf = new X509Certificate(await ca.issueAgent('node-a.example', spki(), NOW));
    expect(leaf.subjectAltName).toBe('URI:spiffe://cluster.local/weft/agent/node-a.example');
    expect(agentOf(leaf.raw, ca.certificate, NOW)).toEqual({ node: 'node-a.example' });
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
    await expect(CertificateAuthority.load({ ...one, keyPem: other.keyPem })).rejects.toThrow(/do not belong together/);
  });

  test('only P-256 keys get a certificate', () => {
    expect(() => parsePublicKey(spki('P-384'))).toThrow('public_key is not a P-256 key');
    expect(() => parsePublicKey(Buffer.from('x'))).toThrow(/not a public key in SPKI form/);
    expect(parsePublicKey(spki()).asymmetricKeyType).toBe('ec');
  });
});

import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import type { ExtendedKeyUsage, Extension, JsonGeneralNames } from '@peculiar/x509';
import { x509 } from './x509.ts';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface KeyedCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

export const CA_LIFETIME_MS = 3650 * DAY;
/** Of what the CA issues. Whoever holds one renews it at half of that. */
export const LEAF_LIFETIME_MS = DAY;
/** How much the clocks of two nodes may differ. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** What a certificate is to say. */
interface Leaf {
  /** SPKI, DER, P-256. */
  readonly publicKey: Uint8Array;
  readonly names: JsonGeneralNames;
  readonly usage: ExtendedKeyUsage;
  readonly commonName: string;
}

/** Makes a self-signed CA. `now`: milliseconds since the epoch. */
export async function createCa(now: number): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    // A name of its own for each CA: chains of two CAs with one name and different keys are told apart badly.
    name: `CN=Weft CA ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now + CA_LIFETIME_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: certificate.toString('pem'), keyPem: await privateKeyPem(keys.privateKey) };
}

/** Signs certificates that live {@link LEAF_LIFETIME_MS}. */
export class CertificateAuthority {
  /** What others verify against. */
  readonly certificatePem: string;
  readonly certificate: X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificatePem: string, certificate: X509Certificate, key: webcrypto.CryptoKey) {
    this.certificatePem = certificatePem;
    this.certificate = certificate;
    this.#key = key;
  }

  /**
   * `now`: milliseconds since the epoch.
   * @throws Error with a sentence if the pair is damaged, does not fit together, has expired, or is no CA
   */
  static async load({ certificatePem, keyPem }: KeyedCertificate, now: number): Promise<CertificateAuthority> {
    const certificate = parsed('the certificate', certificatePem, (pem) => new X509Certificate(pem));
    const key = parsed('the private key', keyPem, createPrivateKey);
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('the private key is not a P-256 key');
    if (now > certificate.validToDate.getTime()) {
      throw new Error(`the certificate has expired on ${certificate.validToDate.toISOString()}`);
    }
    if (!certificate.ca) throw new Error('the certificate is not that of a CA');
    if (!certificate.checkPrivateKey(key)) throw new Error('key and certificate do not belong together');
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const signing = await webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), ALGORITHM, false, ['sign']);
    return new CertificateAuthority(certificatePem, certificate, signing);
  }

  /** The certificate of a node's agent, for a client of TLS. */
  issueAgent(node: string, publicKey: Uint8Array, now: number): Promise<string> {
    const names: JsonGeneralNames = [{ type: 'url', value: agentUri(node) }];
    // A common name has at most 64 characters, a node's name may have 253; only the URI counts.
    return this.#issue({ publicKey, names, usage: x509.ExtendedKeyUsage.clientAuth, commonName: 'weft-agent' }, now);
  }

  /** A new key and certificate for the operator as a server of TLS. */
  async issueOperator(dnsName: string, now: number): Promise<KeyedCertificate> {
    const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const publicKey = new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey));
    const names: JsonGeneralNames = [
      { type: 'dns', value: dnsName },
      { type: 'url', value: OPERATOR_URI },
    ];
    const leaf = { publicKey, names, usage: x509.ExtendedKeyUsage.serverAuth, commonName: 'weft-operator' };
    return { certificatePem: await this.#issue(leaf, now), keyPem: await privateKeyPem(keys.privateKey) };
  }

  async #issue(leaf: Leaf, now: number): Promise<string> {
    const publicKey = await webcrypto.subtle.importKey('spki', new Uint8Array(leaf.publicKey), ALGORITHM, true, [
      'verify',
    ]);
    const extensions: Extension[] = [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([leaf.usage]),
      new x509.SubjectAlternativeNameExtension(leaf.names),
    ];
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${leaf.commonName}`,
      issuer: this.certificate.subject,
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter: new Date(now + LEAF_LIFETIME_MS),
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: ALGORITHM,
      extensions,
    });
    return certificate.toString('pem');
  }
}

/** What is wrong with a PEM text is told without the library's own words, which name functions and not mistakes. */
function parsed<T>(what: string, pem: string, parse: (pem: string) => T): T {
  if (pem === '') throw new Error(`${what} is missing`);
  try {
    return parse(pem);
  } catch {
    throw new Error(`${what} is not valid PEM`);
  }
}

const TRUST_DOMAIN = 'cluster.local';
export const OPERATOR_URI = `spiffe://${TRUST_DOMAIN}/weft/operator`;
const AGENT_URI = `spiffe://${TRUST_DOMAIN}/weft/agent/`;

export function agentUri(node: string): string {
  return `${AGENT_URI}${node}`;
}

/** What a client's certificate says. */
export type Peer =
  | {
      /** On which its agent runs. */
      readonly node: string;
      /** The certificate's end, in milliseconds since the epoch. */
      readonly until: number;
    }
  | { readonly refused: string };

/** Whose agent's certificate this is, or why it is none that `ca` stands for. `now`: ms since the epoch. */
export function agentOf(raw: Uint8Array, ca: X509Certificate, now: number): Peer {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(raw);
  } catch {
    return { refused: 'the client certificate is damaged' };
  }
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) {
    return { refused: "the client certificate was not issued by this cluster's Weft CA" };
  }
  if (now < certificate.validFromDate.getTime()) return { refused: 'the client certificate is not valid yet' };
  if (now > certificate.validToDate.getTime()) return { refused: 'the client certificate has expired' };
  // id-kp-clientAuth, RFC 5280 4.2.1.12. The type says string[], but a certificate without usages has none.
  if (!certificate.keyUsage?.includes('1.3.6.1.5.5.7.3.2')) return { refused: 'the certificate is not for clients' };
  const name = certificate.subjectAltName ?? '';
  const node = name.startsWith(`URI:${AGENT_URI}`) ? name.slice(`URI:${AGENT_URI}`.length) : '';
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(node)) return { refused: "the certificate is not an agent's" };
  return { node, until: certificate.validToDate.getTime() };
}

/** The key of a request for a certificate, checked; throws a sentence if it is not a P-256 key in SPKI form. */
export function parsePublicKey(der: Buffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch {
    throw new Error('public_key is not a public key in SPKI form (DER)');
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error('public_key is not a P-256 key');
  }
  return key;
}

/** RFC 5280 4.1.2.2: positive, at most 20 octets. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();
}

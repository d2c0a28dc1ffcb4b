import { type KubeClient, KubeError } from 'kopf-ts';
import { asError } from '../errors.ts';
import { configMapKind, type Secret, secretKind } from '../kinds.ts';
import { CertificateAuthority, createCa, type KeyedCertificate } from './ca.ts';

/** Name of the Secret with the CA's key and of the ConfigMap with its certificate. */
export const CA_NAME = 'weft-ca';

export interface RootOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Wall time in milliseconds. */
  readonly now: () => number;
}

/**
 * The CA that all replicas share. Whichever replica comes first creates it: creating is an election in itself, so that
 * no start has to wait for a leader.
 * @throws Error with a sentence if the Secret is there and holds no CA; it is never replaced
 */
export async function loadRoot(options: RootOptions): Promise<CertificateAuthority> {
  const { client, namespace, now } = options;
  const found = await find(options);
  if (found !== undefined) return parse(found, options);
  const secret = secretOf(await createCa(now()), namespace);
  try {
    return await parse(await client.create(secretKind, secret), options);
  } catch (error) {
    if (!(error instanceof KubeError && error.isAlreadyExists)) throw error;
    // Another replica was faster.
    return parse(await client.get(secretKind, { namespace, name: CA_NAME }), options);
  }
}

/** Makes the ConfigMap that agents verify the operator by say what the CA is; resolves with whether it had to. */
export async function publishRoot(authority: CertificateAuthority, options: RootOptions): Promise<boolean> {
  const { client, namespace } = options;
  const metadata = { namespace, name: CA_NAME };
  try {
    const found = await client.get(configMapKind, metadata);
    if (found.data?.['ca.crt'] === authority.certificatePem) return false;
  } catch (error) {
    if (!(error instanceof KubeError && error.isNotFound)) throw error;
  }
  const data = { 'ca.crt': authority.certificatePem };
  await client.apply(configMapKind, { metadata, data }, { fieldManager: 'weft-operator' });
  return true;
}

/**
 * Why a process that goes on with `authority` has to be restarted: the Secret holds another CA now. Undefined where it
 * holds the same, or is gone: a 404 may be stray, and whichever replica starts next makes a new one.
 */
export async function rootProblem(authority: CertificateAuthority, options: RootOptions): Promise<string | undefined> {
  const found = await find(options);
  const pem = found?.data?.['tls.crt'];
  if (pem === undefined || Buffer.from(pem, 'base64').toString() === authority.certificatePem) return undefined;
  return `Secret ${options.namespace}/${CA_NAME} holds another CA than this process started with; it has to be restarted`;
}

async function find({ client, namespace }: RootOptions): Promise<Secret | undefined> {
  try {
    return await client.get(secretKind, { namespace, name: CA_NAME });
  } catch (error) {
    if (error instanceof KubeError && error.isNotFound) return undefined;
    throw error;
  }
}

function secretOf({ certificatePem, keyPem }: KeyedCertificate, namespace: string): Secret {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  return {
    metadata: { namespace, name: CA_NAME },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': encode(certificatePem), 'tls.key': encode(keyPem) },
  };
}

async function parse(secret: Secret, { namespace, now }: RootOptions): Promise<CertificateAuthority> {
  const decode = (name: string): string => Buffer.from(secret.data?.[name] ?? '', 'base64').toString();
  try {
    return await CertificateAuthority.load({ certificatePem: decode('tls.crt'), keyPem: decode('tls.key') }, now());
  } catch (thrown) {
    throw new Error(
      `Secret ${namespace}/${CA_NAME} holds no usable CA (${asError(thrown).message}). Restore it; or delete it, and ` +
        'the operator makes a new one, and the agents get new certificates.',
    );
  }
}

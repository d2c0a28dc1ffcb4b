import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import { type Clock, sleep } from 'kopf-ts';
import { asError } from '../errors.ts';
import { type CertificateAuthority, type KeyedCertificate, LEAF_LIFETIME_MS } from './ca.ts';

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];

export interface ServingOptions {
  readonly authority: CertificateAuthority;
  readonly dnsName: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
}

/** The name in the operator's certificate: what agents expect, whatever address they dial. */
export function operatorDnsName(namespace: string): string {
  return `weft-operator.${namespace}.svc`;
}

/** The operator's own certificate, renewed at half of its life without ending a connection. */
export class ServingCertificate implements Provider {
  readonly #options: ServingOptions;
  readonly #listeners = new Set<IdentityListener>();
  #current: KeyedCertificate;

  private constructor(options: ServingOptions, first: KeyedCertificate) {
    this.#options = options;
    this.#current = first;
  }

  static async issue(options: ServingOptions): Promise<ServingCertificate> {
    const { authority, dnsName, clock } = options;
    return new ServingCertificate(options, await authority.issueOperator(dnsName, clock.now()));
  }

  /**
   * Clients are asked for a certificate and let in without one: `Bootstrap` has to be open. gRPC also lets in those
   * whose certificate is not ours, so every other service checks it itself (`peer.ts`).
   */
  credentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, this, false);
  }

  /** Renews until `stopping` aborts. */
  async run(stopping: AbortSignal): Promise<void> {
    const { authority, dnsName, clock, log } = this.#options;
    let pause = LEAF_LIFETIME_MS / 2;
    while (!stopping.aborted) {
      await sleep(clock, pause, stopping);
      if (stopping.aborted) return;
      try {
        this.#current = await authority.issueOperator(dnsName, clock.now());
        for (const listener of this.#listeners) listener(this.#update());
        pause = LEAF_LIFETIME_MS / 2;
      } catch (thrown) {
        log(`the operator's certificate could not be renewed: ${asError(thrown).message}`);
        pause = 60_000;
      }
    }
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.add(listener);
    // Never before the server that adds it has come to listen to what follows from it.
    setImmediate(() => listener(this.#update()));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.delete(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    setImmediate(() => listener({ caCertificate: Buffer.from(this.#options.authority.certificatePem) }));
  }

  removeCaCertificateListener(): void {}

  #update(): { readonly certificate: Buffer; readonly privateKey: Buffer } {
    const { certificatePem, keyPem } = this.#current;
    return { certificate: Buffer.from(certificatePem), privateKey: Buffer.from(keyPem) };
  }
}

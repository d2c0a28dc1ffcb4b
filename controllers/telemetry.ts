import { asError } from './errors.ts';

/** Ends the export of telemetry. */
export type StopTelemetry = () => Promise<void>;

/**
 * Exports OpenTelemetry as the standard OTEL_ variables say; without OTEL_EXPORTER_OTLP_ENDPOINT nothing of it is even
 * loaded. The operator works without it, so a failure is only logged.
 */
export async function startTelemetry(
  environment: NodeJS.ProcessEnv,
  version: string,
  log: (line: string) => void,
): Promise<StopTelemetry> {
  if ((environment.OTEL_EXPORTER_OTLP_ENDPOINT ?? '') === '') return async () => {};
  try {
    const { NodeSDK } = await import('@opentelemetry/sdk-node');
    const sdk = new NodeSDK({ serviceName: environment.OTEL_SERVICE_NAME ?? 'weft-operator' });
    sdk.start();
    log(`telemetry of version ${version} goes to ${environment.OTEL_EXPORTER_OTLP_ENDPOINT}`);
    return async () => {
      await sdk.shutdown().catch((thrown: unknown) => log(`telemetry: ${asError(thrown).message}`));
    };
  } catch (thrown) {
    log(`telemetry is off: ${asError(thrown).message}`);
    return async () => {};
  }
}

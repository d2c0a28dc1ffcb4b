import { status } from '@grpc/grpc-js';

/** A gRPC status that ends a stream, as a value. */
export interface Refusal {
  readonly code: status;
  readonly details: string;
}

export function refusal(code: keyof typeof status, details: string): Refusal {
  return { code: status[code], details };
}

/** What went wrong, in words, whatever was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

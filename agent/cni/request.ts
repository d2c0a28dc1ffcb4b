/** What the CNI binary may ask, one JSON object a line, checked field by field. */

export interface PodName {
  readonly namespace: string;
  readonly name: string;
  /** "" where the runtime does not say. */
  readonly uid: string;
}

export interface ContainerKey {
  readonly containerId: string;
  readonly ifName: string;
}

export type CniRequest =
  | ({
      readonly command: 'ADD';
      readonly hostIfIndex: number;
      readonly hostIfName: string;
      /** Path of the pod's network namespace. */
      readonly netns: string;
      readonly pod: PodName;
    } & ContainerKey)
  | ({ readonly command: 'DEL' } & ContainerKey)
  | ({ readonly command: 'CHECK'; readonly addresses: readonly string[] } & ContainerKey)
  | { readonly command: 'STATUS' }
  | { readonly command: 'GC'; readonly valid: readonly ContainerKey[] };

export type CniReply =
  | { readonly ok: true; readonly addresses?: readonly string[]; readonly mtu?: number; readonly proxy?: true }
  | { readonly ok: false; readonly code: number; readonly message: string };

/** Codes of the CNI specification 1.1: 4, 6, 7, 11 and 50 have their meaning there, 100 and up are a plugin's own. */
export const CNI = {
  invalidEnvironment: 4,
  decoding: 6,
  invalid: 7,
  tryAgain: 11,
  unavailable: 50,
  refused: 100,
} as const;

export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** An absolute path without ".." and control characters, of at most 1024 characters. */
const NETNS = /^(?!.*\/\.\.(?:\/|$))\/[^\p{Cc}]{1,1023}$/u;

/** @throws CniError that names the field */
export function parseCniRequest(line: string): CniRequest {
  const request = parseObject(line);
  switch (request['command']) {
    case 'ADD':
      return {
        command: 'ADD',
        ...containerKey(request),
        hostIfIndex: ifIndex(request['hostIfIndex']),
        hostIfName: text(request, 'hostIfName', /^[^\s/\0]{1,15}$/),
        netns: text(request, 'netns', NETNS),
        pod: podName(request['pod']),
      };
    case 'DEL':
      return { command: 'DEL', ...containerKey(request) };
    case 'CHECK':
      return {
        command: 'CHECK',
        ...containerKey(request),
        addresses: list(request['addresses'], 'addresses').map(String),
      };
    case 'STATUS':
      return { command: 'STATUS' };
    case 'GC':
      return {
        command: 'GC',
        valid: list(request['valid'], 'valid').map((entry) => containerKey(object(entry, 'valid'))),
      };
    default:
      throw new CniError(
        CNI.invalidEnvironment,
        `command is ${JSON.stringify(request['command'])?.slice(0, 40)}, not ADD, DEL, CHECK, STATUS or GC`,
      );
  }
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new CniError(CNI.decoding, 'the request is not JSON');
  }
  return object(value, 'the request');
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function object(value: unknown, what: string): Fields {
  if (!isFields(value)) throw new CniError(CNI.invalid, `${what} is not an object`);
  return value;
}

function list(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > 10_000) throw new CniError(CNI.invalid, `${field} is not a list`);
  return value;
}

function text(fields: Fields, field: string, pattern: RegExp): string {
  const value = fields[field];
  if (typeof value !== 'string' || !pattern.test(value))
    throw new CniError(CNI.invalid, `${field} is missing or malformed`);
  return value;
}

function containerKey(fields: Fields): ContainerKey {
  return {
    containerId: text(fields, 'containerId', /^[A-Za-z0-9][\w.-]{0,255}$/),
    ifName: text(fields, 'ifName', /^[^\s/\0]{1,15}$/),
  };
}

function ifIndex(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 0x7fffffff) {
    throw new CniError(CNI.invalid, 'hostIfIndex is not the index of a device');
  }
  return value;
}

function podName(value: unknown): PodName {
  const fields = object(value, 'pod');
  const name = /^[a-z0-9][a-z0-9.-]{0,252}$/;
  const uid = fields['uid'];
  return {
    namespace: text(fields, 'namespace', name),
    name: text(fields, 'name', name),
    uid: uid === undefined || uid === '' ? '' : text(fields, 'uid', /^[\w.:-]{1,128}$/),
  };
}

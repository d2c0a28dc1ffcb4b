/** Services in the kernel: frontends, and backend sets counted by the frontends' Services that use them. */
import type { BackendSetRow, Datapath, Row, ServiceRow, Step } from 'bpf-loader-napi';
import type { PortOf } from '../tables/policy-rows.ts';
import { decodeResource } from '../tables/resource.ts';
import { rowKey, sameRow } from '../tables/rows.ts';
import { planServices } from '../tables/service-plan.ts';
import { type ServiceRows, serviceRows } from '../tables/service-rows.ts';

export interface NamedChange {
  readonly name: string;
  /** Encoded, of resources that were decoded before; undefined: absent. */
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
}

/** Services a step carries: bounds what is decoded at a time. */
const CHUNK = 400;
const NONE: ServiceRows = { frontends: [], backends: [] };

export class ServiceTables {
  readonly #node: string;
  readonly #portOf: PortOf;
  readonly #uses = new Map<bigint, number>();

  constructor(node: string, portOf: PortOf) {
    this.#node = node;
    this.#portOf = portOf;
  }

  rows(name: string, bytes: Uint8Array | undefined): ServiceRows {
    if (bytes === undefined) return NONE;
    const resource = decodeResource(name, bytes);
    return resource.$case === 'service' ? serviceRows(name, resource.value, this.#node, this.#portOf) : NONE;
  }

  /** Counts a Service's backend sets without writing them, after the kernel was brought in line by other means. */
  adopt(name: string, bytes: Uint8Array): void {
    for (const { set } of this.rows(name, bytes).backends) this.#count(set, 1);
  }

  /** Brings the kernel in line. @returns errors by resource name */
  async apply(datapath: Pick<Datapath, 'apply'>, changes: readonly NamedChange[]): Promise<Map<string, string>> {
    const errors = new Map<string, string>();
    const written = new Set<string>();
    const deletes = new Map<string, ServiceRow>();
    const unused = new Map<bigint, BackendSetRow>();
    for (let at = 0; at < changes.length; at += CHUNK) {
      const owners = new Map<Row, string>();
      const upserts: ServiceRow[] = [];
      const backends: BackendSetRow[] = [];
      for (const { name, before, after } of changes.slice(at, at + CHUNK)) {
        const old = this.rows(name, before);
        const rows = this.rows(name, after);
        for (const set of rows.backends) {
          owners.set(set, name);
          if (this.#count(set.set, 1) > 1) continue;
          // One that was given up in this very batch is still in the kernel.
          if (!unused.delete(set.set)) backends.push(set);
        }
        for (const set of old.backends) if (this.#count(set.set, -1) === 0) unused.set(set.set, set);
        const had = new Map(old.frontends.map((row) => [rowKey(row), row]));
        for (const row of rows.frontends) {
          const key = rowKey(row);
          const same = had.get(key);
          had.delete(key);
          written.add(key);
          owners.set(row, name);
          if (same === undefined || !sameRow(same, row)) upserts.push(row);
        }
        for (const [key, row] of had) deletes.set(key, row);
      }
      await run(datapath, planServices({ upserts, deletes: [], backends, unused: [] }), owners, errors);
    }
    // A frontend may pass from one Service to another in one batch.
    for (const key of written) deletes.delete(key);
    const rest = planServices({
      upserts: [],
      deletes: [...deletes.values()],
      backends: [],
      unused: [...unused.values()],
    });
    await run(datapath, rest, new Map(), errors);
    return errors;
  }

  #count(set: bigint, by: number): number {
    const uses = (this.#uses.get(set) ?? 0) + by;
    if (uses <= 0) this.#uses.delete(set);
    else this.#uses.set(set, uses);
    return uses;
  }
}

async function run(
  datapath: Pick<Datapath, 'apply'>,
  steps: readonly Step[],
  owners: ReadonlyMap<Row, string>,
  errors: Map<string, string>,
): Promise<void> {
  if (steps.length === 0) return;
  for (const { step, row, message } of await datapath.apply(steps)) {
    const at = steps[step];
    const failed = at === undefined || at.op === 'bump' ? undefined : at.rows[row];
    const owner = failed && owners.get(failed);
    if (owner !== undefined) errors.set(owner, message);
  }
}

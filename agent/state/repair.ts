import type { Datapath, Row, TableName } from 'bpf-loader-napi';
import { type Drift, planTables, type Tables } from '../tables/diff.ts';
import { type Failure, failures } from './failure.ts';

/**
 * Writes the difference between the kernel and what it should hold.
 *
 * @param whole also Services and backends; else those are left alone
 */
export async function repairTables(
  datapath: Pick<Datapath, 'apply' | 'dump'>,
  wanted: Tables,
  whole: boolean,
): Promise<{ errors: Failure[]; drift: readonly Drift[] }> {
  const actual: Tables = {
    addresses: await dump(datapath, 'addresses'),
    policy: await dump(datapath, 'policy'),
    pods: await dump(datapath, 'pods'),
    services: whole ? await dump(datapath, 'services') : [],
    backends: whole ? await dump(datapath, 'backends') : [],
  };
  const { make, change, drift } = planTables(actual, wanted);
  const errors: Failure[] = [];
  for (const steps of [make, change]) {
    if (steps.length > 0) errors.push(...failures(steps, await datapath.apply(steps)));
  }
  return { errors, drift };
}

async function dump<T extends TableName>(
  datapath: Pick<Datapath, 'dump'>,
  table: T,
): Promise<Extract<Row, { table: T }>[]> {
  const isOf = (row: Row): row is Extract<Row, { table: T }> => row.table === table;
  return (await datapath.dump(table)).filter(isOf);
}

import type { Datapath, ProxyRow, Row, TableName } from 'bpf-loader-napi';
import { type Drift, planTables, type Tables } from '../tables/diff.ts';
import { sameRow } from '../tables/rows.ts';
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

/**
 * The same for the one row of the proxy, which changes at any time.
 *
 * @param wanted asked for once the kernel has answered: whoever changes it meanwhile writes it as well, and later
 */
export async function repairProxy(
  datapath: Pick<Datapath, 'apply' | 'dump'>,
  wanted: () => ProxyRow | undefined,
): Promise<Drift[]> {
  const [before] = await dump(datapath, 'proxy');
  const after = wanted();
  if (before === undefined ? after === undefined : after !== undefined && sameRow(before, after)) return [];
  await datapath.apply(
    after ? [{ op: 'upsert', rows: [after] }] : [{ op: 'delete', rows: before === undefined ? [] : [before] }],
  );
  const different = before && after ? 1 : 0;
  return [{ table: 'proxy', missing: before ? 0 : 1, different, extra: after ? 0 : 1 }];
}

export async function dump<T extends TableName>(
  datapath: Pick<Datapath, 'dump'>,
  table: T,
): Promise<Extract<Row, { table: T }>[]> {
  const isOf = (row: Row): row is Extract<Row, { table: T }> => row.table === table;
  return (await datapath.dump(table)).filter(isOf);
}

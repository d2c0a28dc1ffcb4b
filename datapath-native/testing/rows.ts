/** Made-up rows of every table, as fast-check draws them. */
import fc from 'fast-check';
import type { AddressRow, BackendSetRow, PodRow, PolicyRow, Row, ServiceRow } from '../index.js';

const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const byte = fc.integer({ min: 0, max: 255 });
const group = fc.integer({ min: 1, max: 0xffff }).map((value) => value.toString(16));
const port = fc.integer({ min: 0, max: 65_535 });
const ipv4 = fc.tuple(byte, byte, byte).map((bytes) => `10.${bytes.join('.')}`);
const ipv6 = fc.tuple(group, group).map(([one, other]) => `fd00:${one}::${other}`);
const protocol = fc.constantFrom(1, 6, 17, 58, 132);

export function sample(table: 'addresses', prefix: string): AddressRow {
  return { table, prefix, class: 2n ** 63n + 1n, kind: 'pod' };
}

const address: fc.Arbitrary<AddressRow> = fc.record({
  table: fc.constant('addresses'),
  prefix: fc.oneof(
    ipv4.map((text) => `${text}/32`),
    fc.tuple(byte, byte).map(([one, other]) => `10.${one}.${other}.0/24`),
    ipv6.map((text) => `${text}/128`),
    fc.constantFrom('0.0.0.0/0', '::/0', 'fd00::/8'),
  ),
  class: id,
  kind: fc.constantFrom('world', 'pod', 'host', 'remote-node'),
});

const ports = fc.oneof(
  fc.constant({ protocol: 0, port: 0, portBits: 0 }),
  fc.tuple(protocol, port, fc.integer({ min: 0, max: 16 })).map(([protocol, port, portBits]) => ({
    protocol,
    port: port & (0xffff << (16 - portBits)) & 0xffff,
    portBits,
  })),
);
const policy: fc.Arbitrary<PolicyRow> = fc
  .tuple(
    fc.record({
      set: id,
      class: id,
      direction: fc.constantFrom('ingress' as const, 'egress' as const),
      verdict: fc.constantFrom('allow' as const, 'deny' as const),
      rule: port,
    }),
    ports,
  )
  .map(([entry, ports]) => ({ table: 'policy', ...entry, ...ports }));

const pod: fc.Arbitrary<PodRow> = fc.record(
  {
    table: fc.constant('pods'),
    slot: fc.integer({ min: 0, max: 1023 }),
    ifindex: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    set: id,
    ipv4,
    ipv6,
  },
  { requiredKeys: ['table', 'slot', 'ifindex', 'set'] },
);

const service: fc.Arbitrary<ServiceRow> = fc
  .record({
    table: fc.constant('services' as const),
    port,
    protocol,
    scope: fc.constantFrom('internal' as const, 'external' as const),
    backends: id,
    service: id,
    count: fc.nat(),
    nodePort: fc.boolean(),
    affinitySeconds: fc.nat(),
    maglevSize: fc.constantFrom(0, 251, 1021),
  })
  .chain((rest) =>
    fc
      .oneof(
        fc.tuple(fc.oneof(ipv4, fc.constant('')), fc.constant(4 as const)),
        fc.tuple(fc.oneof(ipv6, fc.constant('')), fc.constant(6 as const)),
      )
      .map(([address, family]) => ({ ...rest, address, family })),
  );

const backends: fc.Arbitrary<BackendSetRow> = fc.record({
  table: fc.constant('backends'),
  set: id,
  backends: fc.array(fc.record({ address: fc.oneof(ipv4, ipv6), port }), { minLength: 1, maxLength: 20 }),
  maglevSize: fc.constantFrom(0, 23, 251),
});

/** What must be unique for rows to stand beside each other. */
function keys(row: Row): string[] {
  switch (row.table) {
    case 'addresses':
      return [row.prefix];
    case 'policy':
      return [[row.set, row.class, row.direction, row.protocol, row.port, row.portBits].join()];
    case 'pods':
      return [
        `slot ${row.slot}`,
        `device ${row.ifindex}`,
        ...[row.ipv4, row.ipv6].filter((text) => text !== undefined),
      ];
    case 'proxy':
      return ['proxy'];
    case 'services':
      return [[row.address, row.port, row.protocol, row.scope, row.family].join()];
    case 'backends':
      return [`${row.set}`];
  }
}

export const rows: fc.Arbitrary<Row[]> = fc
  .array(fc.oneof<fc.Arbitrary<Row>[]>(address, policy, pod, service, backends), { maxLength: 60 })
  .map((drawn) => {
    const taken = new Set<string>();
    return drawn.filter((row) => {
      const own = keys(row).map((key) => `${row.table} ${key}`);
      if (own.some((key) => taken.has(key))) return false;
      for (const key of own) taken.add(key);
      return true;
    });
  });

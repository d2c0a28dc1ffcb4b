import type { ClusterAccess } from '../cluster.ts';
import { UsageError } from '../errors.ts';
import { type Format, toJsonLine, toYaml } from '../output.ts';
import { columns, type Paint } from '../text.ts';
import type { FlowFilter } from './filter.ts';
import { FLOW_HEADER, type FlowLine, flowRow } from './line.ts';
import { followFlows, readFlows } from './read.ts';
import type { FlowVerdict } from './words.ts';

export interface FlowFlags {
  readonly output: Format;
  /** Milliseconds back. */
  readonly since: number;
  readonly limit?: number | undefined;
  readonly follow?: boolean | undefined;
  readonly pod?: string | undefined;
  readonly namespace?: string | undefined;
  readonly verdict?: FlowVerdict | undefined;
  readonly type?: string | undefined;
  readonly rule?: string | undefined;
  readonly protocol?: string | undefined;
  readonly port?: number | undefined;
  readonly status?: string | undefined;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
}

export interface Terminal {
  readonly print: (text: string) => void;
  readonly note: (text: string) => void;
  readonly paint: Paint;
}

/** @returns exit code: 1 where an agent did not answer */
export async function runFlows(cluster: ClusterAccess, flags: FlowFlags, terminal: Terminal): Promise<number> {
  const { output, limit } = flags;
  const options = {
    since: Date.now() - flags.since,
    filter: filterOf(flags),
    note: terminal.note,
    ...(limit === undefined ? {} : { limit }),
  };
  if (flags.follow === true) {
    const ended = new AbortController();
    process.once('SIGINT', () => process.exit(0));
    const isTable = output === 'table' || output === 'wide';
    if (isTable) terminal.print(columns([header(output)], terminal.paint, FOLLOW_WIDTHS));
    const tell = (line: FlowLine): void =>
      terminal.print(
        isTable
          ? columns([flowRow(line, output === 'wide')], terminal.paint, FOLLOW_WIDTHS)
          : flowText([line], output, terminal.paint),
      );
    await followFlows(cluster, options, tell, ended.signal);
    return 0;
  }
  const { lines, missing } = await readFlows(cluster, options);
  const text = flowText(lines, output, terminal.paint);
  if (text !== '') terminal.print(text);
  return missing === 0 ? 0 : 1;
}

/** Rows that come one by one stay in step while names are no longer than this. */
const FOLLOW_WIDTHS = [24, 7, 9, 8, 44, 44, 15];

const header = (format: Format): string[] => [
  ...FLOW_HEADER,
  ...(format === 'wide' ? ['NODE', 'SERVICE', 'HOST', 'USER AGENT'] : []),
];

/** A line of JSON or a document of YAML for each flow, or a table. */
export function flowText(lines: readonly FlowLine[], format: Format, paint: Paint): string {
  if (format === 'json') return lines.map(toJsonLine).join('\n');
  if (format === 'yaml') return lines.map((line) => `---\n${toYaml(line)}`).join('\n');
  return columns([header(format), ...lines.map((line) => flowRow(line, format === 'wide'))], paint);
}

function filterOf(flags: FlowFlags): FlowFilter {
  const { pod, namespace, verdict, type, rule, protocol, port, status, method, path } = flags;
  if (verdict === 'revoked' && type !== undefined && type !== 'revoked') {
    throw new UsageError(`no flow of type ${type} is revoked: leave --type or --verdict out`);
  }
  return {
    ...(pod === undefined ? {} : { pod }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(verdict === undefined ? {} : { verdict }),
    ...(rule === undefined ? {} : { rule }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(port === undefined ? {} : { port }),
    ...(type === undefined ? {} : { type }),
    ...(status === undefined ? {} : { status }),
    ...(method === undefined ? {} : { method }),
    ...(path === undefined ? {} : { path }),
  };
}

/** The columns of interfaces. */
import { Link } from '@tanstack/react-router';
import type { InterfaceSummary } from '../api/types.ts';
import { bitRate } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Data, Known, Mark, Said } from './marks.tsx';
import { idColumn } from './place-columns.tsx';
import type { Column } from './table.tsx';

const t = text.interfaces;

/** Whether it can be used, and why not: the reason is there to be read, also without a pointer. */
export function CanBe({ ok, message }: { ok: boolean; message?: string }): React.ReactNode {
  return ok ? (
    <Mark tone="good" sign="✓">
      {text.common.yes}
    </Mark>
  ) : (
    <Mark tone="quiet" sign="✕">
      {message === undefined ? text.common.no : <Said>{message}</Said>}
    </Mark>
  );
}

/** What an interface is: the columns that every table of interfaces has. */
export const IDENTITY_COLUMNS: readonly Column<InterfaceSummary>[] = [
  idColumn(t.id, 120),
  { key: 'name', header: t.name, width: 'minmax(110px,1fr)', sort: 'name', cell: ({ name }) => <Data>{name}</Data> },
  { key: 'kind', header: t.kind, width: '64px', sort: 'kind', cell: ({ kind }) => text.kinds[kind] },
  {
    key: 'node',
    header: t.node,
    width: 'minmax(90px,1fr)',
    sort: 'node',
    cell: ({ node }) => (node === undefined ? <span className="quiet">{text.common.none}</span> : <Data>{node}</Data>),
  },
  {
    key: 'network',
    header: t.network,
    width: 'minmax(80px,1fr)',
    sort: 'network',
    cell: ({ network }) => <Data>{network}</Data>,
  },
];

/** What it carries: both directions together, as the list is sorted by it. */
export const TRAFFIC_COLUMN: Column<InterfaceSummary> = {
  key: 'traffic',
  header: t.traffic,
  width: '100px',
  align: 'end',
  sort: 'traffic',
  cell: ({ traffic }) => (
    <Known value={traffic && traffic.inbound.bitsPerSecond + traffic.outbound.bitsPerSecond} as={bitRate} />
  ),
};

export const INTERFACE_COLUMNS: readonly Column<InterfaceSummary>[] = [
  ...IDENTITY_COLUMNS,
  {
    key: 'device',
    header: t.device,
    width: 'minmax(100px,1fr)',
    cell: ({ device }) => <Data>{device?.name ?? ''}</Data>,
  },
  {
    key: 'state',
    header: t.state,
    width: '90px',
    sort: 'state',
    cell: ({ state }) => t.states[state],
  },
  { key: 'mac', header: t.mac, width: '136px', cell: ({ device }) => <Data>{device?.mac}</Data> },
  {
    key: 'mtu',
    header: t.mtu,
    width: '60px',
    align: 'end',
    sort: 'mtu',
    cell: ({ device }) => <Data>{device?.mtu}</Data>,
  },
  TRAFFIC_COLUMN,
  {
    key: 'policy',
    header: t.policy,
    width: 'minmax(100px,1fr)',
    sort: 'policy',
    cell: ({ policy }) =>
      policy !== undefined && (
        <Link to="/policies/$name" params={{ name: policy }} tabIndex={-1} translate="no">
          {policy}
        </Link>
      ),
  },
  {
    key: 'source',
    header: t.source,
    width: 'minmax(130px,1fr)',
    cell: ({ mirrorable }) => <CanBe {...mirrorable.source} />,
  },
  {
    key: 'destination',
    header: t.destination,
    width: 'minmax(130px,1fr)',
    cell: ({ mirrorable }) => <CanBe {...mirrorable.destination} />,
  },
];

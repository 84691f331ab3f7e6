/** The columns of destinations: interfaces that receive copies. */
import { Link } from '@tanstack/react-router';
import type { DestinationSummary } from '../api/types.ts';
import { bitRate, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Data, Known, Unknown } from './marks.tsx';
import type { Column } from './table.tsx';

const t = text.destinations;

export const DESTINATION_COLUMNS: readonly Column<DestinationSummary>[] = [
  {
    key: 'id',
    header: t.id,
    width: 'minmax(100px,1fr)',
    sort: 'id',
    cell: ({ id }) => (
      <Link to="/interfaces/$id" params={{ id }} tabIndex={-1} translate="no">
        {id}
      </Link>
    ),
  },
  { key: 'kind', header: t.kind, width: '70px', cell: ({ kind }) => text.kinds[kind] },
  {
    key: 'node',
    header: t.node,
    width: 'minmax(80px,1fr)',
    sort: 'node',
    cell: ({ node }) => (node === undefined ? <Unknown /> : <Data>{node}</Data>),
  },
  {
    key: 'policies',
    header: t.policies,
    width: 'minmax(100px,1fr)',
    cell: ({ policies }) => <Data>{policies.join(', ')}</Data>,
  },
  {
    key: 'delivered',
    header: t.delivered,
    width: '100px',
    align: 'end',
    cell: ({ rates }) => <Known value={rates.delivered?.packetsPerSecond} as={packetRate} />,
  },
  {
    key: 'rate',
    header: t.rate,
    width: '110px',
    align: 'end',
    cell: ({ rates }) => <Known value={rates.delivered?.bitsPerSecond} as={bitRate} />,
  },
];

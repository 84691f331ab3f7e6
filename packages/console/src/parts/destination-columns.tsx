/** The columns of destinations: interfaces that receive copies. */
import type { DestinationSummary } from '../api/types.ts';
import { bitRate, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Data, Known } from './marks.tsx';
import { idColumn, nodeColumn } from './place-columns.tsx';
import { Sparkline } from './sparkline.tsx';
import type { Column } from './table.tsx';

const t = text.destinations;

export const DESTINATION_COLUMNS: readonly Column<DestinationSummary>[] = [
  idColumn(t.id, 90),
  nodeColumn(t.node, 70),
  {
    key: 'policies',
    header: t.policies,
    width: 'minmax(80px,2fr)',
    sort: 'policyCount',
    cell: ({ policies, policyCount }) => (
      <>
        <Data>{policies.join(', ')}</Data> {policyCount > policies.length && t.more(policyCount - policies.length)}
      </>
    ),
  },
  {
    key: 'delivered',
    header: t.delivered,
    width: '80px',
    align: 'end',
    cell: ({ rates }) => <Known value={rates.delivered?.packetsPerSecond} as={packetRate} />,
  },
  {
    key: 'rate',
    header: t.rate,
    width: '96px',
    align: 'end',
    sort: 'delivered',
    cell: ({ rates }) => <Known value={rates.delivered?.bitsPerSecond} as={bitRate} />,
  },
  {
    key: 'unread',
    header: t.unread,
    width: '92px',
    align: 'end',
    cell: ({ reading }) => <Known value={reading?.unread} as={packetRate} />,
  },
  {
    key: 'line',
    header: text.policies.sparkline,
    width: '112px',
    cell: ({ sparkline }) => <Sparkline values={sparkline} />,
  },
];

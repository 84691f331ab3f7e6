/** The columns of the list of packets. */
import type { PacketRow } from '../api/types.ts';
import { Data } from '../parts/marks.tsx';
import type { Column } from '../parts/table.tsx';
import { microTime, number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { CopyMark, OriginalMark, Place } from './fate-marks.tsx';

const t = text.packets;

export const PACKET_COLUMNS: readonly Column<PacketRow>[] = [
  { key: 'time', header: t.time, width: '124px', cell: ({ packet }) => <Data>{microTime(packet.at)}</Data> },
  {
    key: 'place',
    header: t.place,
    width: 'minmax(130px,1fr)',
    cell: ({ packet: { place, node } }) => <Place place={place} node={node} />,
  },
  {
    key: 'interface',
    header: t.interface,
    width: 'minmax(80px,1fr)',
    cell: ({ packet }) => <Data>{packet.interfaceName || packet.interface}</Data>,
  },
  { key: 'direction', header: t.direction, width: '74px', cell: ({ packet }) => t.directions[packet.direction] },
  { key: 'source', header: t.source, width: 'minmax(100px,1fr)', cell: ({ columns }) => <Data>{columns.source}</Data> },
  {
    key: 'destination',
    header: t.target,
    width: 'minmax(100px,1fr)',
    cell: ({ columns }) => <Data>{columns.destination}</Data>,
  },
  { key: 'protocol', header: t.protocol, width: '76px', cell: ({ columns }) => <Data>{columns.protocol}</Data> },
  {
    key: 'length',
    header: t.length,
    width: '64px',
    align: 'end',
    cell: ({ packet }) => <Data>{number(packet.length)}</Data>,
  },
  { key: 'info', header: t.info, width: 'minmax(160px,3fr)', cell: ({ columns }) => <Data>{columns.info}</Data> },
  { key: 'copy', header: t.copy, width: 'minmax(104px,1fr)', cell: ({ packet }) => <CopyMark copy={packet.copy} /> },
  {
    key: 'original',
    header: t.original,
    width: 'minmax(124px,1fr)',
    cell: ({ packet }) => <OriginalMark original={packet.original} />,
  },
];

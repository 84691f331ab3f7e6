/** The sources of a policy with what is seen of each. */
import { type ReactNode, useState } from 'react';
import type { PolicySource } from '../api/types.ts';
import { useSources } from '../data/lists.ts';
import type { ListSearch } from '../data/search.ts';
import { ListTable } from '../parts/list-page.tsx';
import { Data, Known } from '../parts/marks.tsx';
import { idColumn, nodeColumn } from '../parts/place-columns.tsx';
import { WithReasons } from '../parts/reasons.tsx';
import type { Column } from '../parts/table.tsx';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.sources;

const COLUMNS: readonly Column<PolicySource>[] = [
  idColumn(t.interface, 120),
  nodeColumn(t.node, 90),
  {
    key: 'device',
    header: t.device,
    width: 'minmax(100px,1fr)',
    cell: ({ device }) => <Data>{device}</Data>,
  },
  {
    key: 'state',
    header: t.state,
    width: 'minmax(100px,1fr)',
    sort: 'state',
    cell: ({ id, state, reasons }) => (
      <WithReasons reasons={reasons} label={t.reasons(id)}>
        {t.states[state]}
      </WithReasons>
    ),
  },
  {
    key: 'inbound',
    header: t.inbound,
    width: '120px',
    align: 'end',
    cell: ({ inbound }) => <Known value={inbound?.copied.packets} as={number} />,
  },
  {
    key: 'outbound',
    header: t.outbound,
    width: '120px',
    align: 'end',
    cell: ({ outbound }) => <Known value={outbound?.copied.packets} as={number} />,
  },
];

export function SourcesTable({ policy }: { policy: string }): ReactNode {
  const [search, setSearch] = useState<ListSearch>({ sort: 'id' });
  return (
    <div className="panel" style={{ height: 560 }}>
      <ListTable
        label={text.policy.tabs.sources}
        list={useSources(policy, { sort: search.sort, filter: search.q })}
        search={search}
        onSearch={setSearch}
        filterHint={t.filterHint}
        none={t.none}
        columns={COLUMNS}
        idOf={({ id }) => id}
      />
    </div>
  );
}

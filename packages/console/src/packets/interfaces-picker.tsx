/** Chooses the interfaces of a look out of all, four at most. */
import { LOOK_LIMITS } from '@mirrorplane/contract';
import { type ReactNode, useState } from 'react';
import type { InterfaceSummary } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import type { ListSearch } from '../data/search.ts';
import { IDENTITY_COLUMNS } from '../parts/interface-columns.tsx';
import { ListTable } from '../parts/list-page.tsx';
import { Data } from '../parts/marks.tsx';
import { text } from '../text/index.ts';

const t = text.packets;

export function InterfacesPicker(props: {
  chosen: readonly string[];
  onChange(ids: string[]): void;
  error: ReactNode;
}): ReactNode {
  const { chosen, onChange, error } = props;
  const [search, setSearch] = useState<ListSearch>({ sort: 'id' });
  const list = useList('interfaces', { sort: search.sort, filter: search.q });
  const isFull = chosen.length >= LOOK_LIMITS.interfaces;
  const refused = ({ id }: InterfaceSummary) => {
    return isFull && !chosen.includes(id) ? t.chosen(chosen.length, LOOK_LIMITS.interfaces) : undefined;
  };
  const toggle = (item: InterfaceSummary) => {
    if (chosen.includes(item.id)) {
      onChange(chosen.filter((id) => id !== item.id));
    } else if (refused(item) === undefined) {
      onChange([...chosen, item.id]);
    }
  };
  return (
    <section className="panel" aria-label={t.ofInterfaces}>
      <ListTable
        label={t.ofInterfaces}
        list={list}
        search={search}
        onSearch={setSearch}
        filterHint={text.interfaces.filterHint}
        none={text.interfaces.none}
        columns={IDENTITY_COLUMNS}
        idOf={({ id }) => id}
        onOpen={toggle}
        height={220}
        choice={{ chosen: new Set(chosen), toggle, refused }}
      />
      <p aria-live="polite">
        {t.chosen(chosen.length, LOOK_LIMITS.interfaces)} <Data>{chosen.join(', ')}</Data>
      </p>
      {error && (
        <p role="alert" className="bad">
          {error}
        </p>
      )}
    </section>
  );
}

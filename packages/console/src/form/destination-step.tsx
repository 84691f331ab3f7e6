/**
 * Choosing the destination: what cannot be one is grey, and says why. An edge can be declared from
 * here.
 */
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { InterfaceSummary } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import type { ListSearch } from '../data/search.ts';
import { Allowed } from '../parts/allowed.tsx';
import { DialogButton } from '../parts/dialog.tsx';
import { EdgeDialog } from '../parts/edge-dialog.tsx';
import { CanBe, IDENTITY_COLUMNS } from '../parts/interface-columns.tsx';
import { ListTable } from '../parts/list-page.tsx';
import { Data, Said } from '../parts/marks.tsx';
import { text } from '../text/index.ts';
import { messageOf } from './checks.ts';
import type { StepProps } from './step.ts';

const t = text.form;

/**
 * An interface of the form, where one is named; undefined: none is, or there is no such interface.
 */
export function useInterface(id: string) {
  return useQuery({
    queryKey: [`interface:${id}`, 'one'],
    enabled: id !== '',
    queryFn: ({ signal }) => answer(api.GET('/api/v1/interfaces/{id}', { params: { path: { id } }, signal })),
    retry: false,
  }).data;
}

export function DestinationStep({ draft, change, checks }: StepProps): ReactNode {
  const [search, setSearch] = useState<ListSearch>({ sort: 'id' });
  const list = useList('interfaces', { sort: search.sort, filter: search.q });
  const firstSource = useInterface(draft.sources[0] ?? '');
  const refused = (item: InterfaceSummary): string | undefined => {
    const { destination } = item.mirrorable;
    if (draft.sources.includes(item.id)) {
      return t.isSource;
    }
    if (firstSource?.kind === 'edge' && item.kind !== 'edge') {
      return t.edgeNeedsEdge;
    }
    return destination.ok ? undefined : (destination.message ?? text.common.no);
  };
  const choose = (item: InterfaceSummary) => {
    if (refused(item) !== undefined) {
      return;
    }
    // A VLAN ID belongs to an edge. What the edge suggests stands there until another one is typed.
    const vlanId = item.kind === 'edge' ? (draft.vlanId === '' ? (item.vlans?.suggested ?? '') : draft.vlanId) : '';
    // An edge has no guest that could send copies on.
    change({ destination: item.id, vlanId, ...(item.kind === 'edge' && { allowFeedback: false }) });
  };
  const message = draft.destination === '' ? undefined : messageOf(checks, 'destination');
  const columns = [
    ...IDENTITY_COLUMNS.filter(({ key }) => key !== 'network'),
    {
      key: 'why',
      header: text.interfaces.destination,
      width: 'minmax(240px,4fr)',
      cell: (item: InterfaceSummary) => {
        const reason = refused(item);
        return reason === undefined ? <CanBe ok /> : <CanBe ok={false} message={reason} />;
      },
    },
  ];
  return (
    <section className="panel" aria-label={t.fields.destination}>
      <div className="bar" role="status">
        <strong>
          {draft.destination === '' ? (
            t.noDestination
          ) : (
            <>
              {t.fields.destination}: <Data>{draft.destination}</Data>
            </>
          )}
        </strong>
      </div>
      {message !== undefined && (
        <p role="alert" className="bad">
          <Said>{message}</Said>
        </p>
      )}
      <ListTable
        label={t.fields.destination}
        list={list}
        search={search}
        onSearch={setSearch}
        filterHint={text.interfaces.filterHint}
        none={text.interfaces.none}
        columns={columns}
        idOf={({ id }) => id}
        onOpen={choose}
        height={420}
        choice={{ chosen: new Set([draft.destination]), toggle: choose, refused }}
      >
        <Allowed right="inventory" label={text.interfaces.declareEdge}>
          <DialogButton
            label={text.interfaces.declareEdge}
            dialog={(close) => <EdgeDialog onClose={close} onDeclared={(destination) => change({ destination })} />}
          />
        </Allowed>
      </ListTable>
    </section>
  );
}

/**
 * Choosing sources: by check boxes, by a list that is pasted, or all that match; and the basket of
 * what is chosen.
 */
import { Button, Textarea } from '@mantine/core';
import { MAX_SOURCES } from '@mirrorplane/contract';
import { type ReactNode, useState } from 'react';
import type { InterfaceSummary } from '../api/types.ts';
import { readList, TRAFFIC_EVERY_MS, useList } from '../data/lists.ts';
import type { ListSearch } from '../data/search.ts';
import { CanBe, IDENTITY_COLUMNS, TRAFFIC_COLUMN } from '../parts/interface-columns.tsx';
import { ListTable } from '../parts/list-page.tsx';
import { Data, Said } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { type Column, DataTable } from '../parts/table.tsx';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { parseIds } from './draft.ts';
import type { StepProps } from './step.ts';

const t = text.form;

/**
 * Why an interface cannot be a source of this policy; undefined: it can, as far as this page knows.
 */
function refusedAs(item: InterfaceSummary, policy: string): string | undefined {
  const { source } = item.mirrorable;
  // Its own sources are taken, for a new policy.
  if (source.ok || (item.policy !== undefined && item.policy === policy)) {
    return undefined;
  }
  return source.message ?? t.notSource;
}

export function SourcesStep(props: StepProps): ReactNode {
  const { draft, change, base } = props;
  const [search, setSearch] = useState<ListSearch>({ sort: 'id' });
  const list = useList('interfaces', { sort: search.sort, filter: search.q, everyMs: TRAFFIC_EVERY_MS });
  const own = base?.draft.name ?? '';
  const chosen = new Set(draft.sources);
  const columns: Column<InterfaceSummary>[] = [
    ...IDENTITY_COLUMNS.filter(({ key }) => key !== 'network'),
    TRAFFIC_COLUMN,
    {
      key: 'why',
      header: text.interfaces.source,
      width: 'minmax(240px,4fr)',
      cell: (item) => {
        const reason = refusedAs(item, own);
        return reason === undefined ? <CanBe ok /> : <CanBe ok={false} message={reason} />;
      },
    },
  ];
  const toggle = (item: InterfaceSummary) => {
    if (chosen.has(item.id)) {
      change({ sources: draft.sources.filter((id) => id !== item.id) });
    } else if (refusedAs(item, own) === undefined) {
      change({ sources: [...draft.sources, item.id] });
    }
  };
  return (
    <div className="grid-form">
      <section className="panel" aria-label={text.menu.interfaces}>
        <ListTable
          label={text.menu.interfaces}
          list={list}
          search={search}
          onSearch={setSearch}
          filterHint={text.interfaces.filterHint}
          none={text.interfaces.none}
          columns={columns}
          idOf={({ id }) => id}
          onOpen={toggle}
          height={420}
          choice={{ chosen, toggle, refused: (item) => (chosen.has(item.id) ? undefined : refusedAs(item, own)) }}
        >
          <SelectAll {...props} filter={search.q} total={list.total} own={own} />
        </ListTable>
      </section>
      <Basket {...props} />
    </div>
  );
}

/**
 * Chooses everything that the filter leaves and that can be a source, up to what a policy may have.
 */
function SelectAll(props: StepProps & { filter: string | undefined; total: number | null; own: string }): ReactNode {
  const { draft, change, filter, total, own } = props;
  const [said, setSaid] = useState('');
  const [error, setError] = useState<Error | null>(null);
  const add = async () => {
    setError(null);
    try {
      const items = await readList('interfaces', { filter, sort: 'id' }, MAX_SOURCES + draft.sources.length);
      const able = items.filter((item) => refusedAs(item, own) === undefined).map(({ id }) => id);
      const sources = [...new Set([...draft.sources, ...able])];
      change({ sources });
      const [count, left] = [sources.length - draft.sources.length, items.length - able.length];
      setSaid(left === 0 ? t.selectedAll(number(count)) : t.selectedSome(number(count), number(left)));
    } catch (reason) {
      setError(reason as Error);
    }
  };
  return (
    <>
      <span role="status" className="quiet">
        {said}
      </span>
      <Button variant="default" onClick={() => void add()} disabled={total === 0}>
        {t.selectAll(total === null ? '' : number(total))}
      </Button>
      <ProblemAlert error={error} />
    </>
  );
}

/** What is chosen, and what the controller says of each. */
function Basket({ draft, change, checks }: StepProps): ReactNode {
  const { sources } = draft;
  const wrong = new Map<string, string>();
  for (const { field, message } of checks.refusals) {
    const [, index] = /^sources\[(\d+)\]/.exec(field) ?? [];
    if (index !== undefined) {
      wrong.set(sources[Number(index)] ?? '', message);
    }
  }
  const whole = checks.refusals.filter(({ field }) => field === 'sources' && sources.length > 0);
  // What has to be corrected comes first: among a thousand nobody would find it.
  const rows = sources.toSorted((a, b) => Number(wrong.has(b)) - Number(wrong.has(a)));
  const columns: Column<string>[] = [
    { key: 'id', header: t.fields.sources, width: 'minmax(120px,1fr)', cell: (id) => <Data>{id}</Data> },
    { key: 'why', header: text.interfaces.why, width: 'minmax(60px,1fr)', cell: (id) => <Said>{wrong.get(id)}</Said> },
    {
      key: 'remove',
      header: t.remove,
      width: '76px',
      cell: (id) => (
        <Button
          size="compact-xs"
          variant="subtle"
          tabIndex={-1}
          aria-label={t.removeSource(id)}
          onClick={() => change({ sources: sources.filter((one) => one !== id) })}
        >
          ✕
        </Button>
      ),
    },
  ];
  return (
    <section className="panel" aria-labelledby="basket">
      <div className="bar">
        <h2 id="basket" aria-live="polite">
          {t.basket(number(sources.length), number(MAX_SOURCES))}
        </h2>
        <span className="grow" />
        {sources.length > 0 && (
          <Button variant="default" onClick={() => change({ sources: [] })}>
            {t.basketClear}
          </Button>
        )}
      </div>
      {whole.map(({ message }) => (
        <p key={message} role="alert" className="bad">
          <Said>{message}</Said>
        </p>
      ))}
      <DataTable
        label={t.fields.sources}
        columns={columns}
        rows={rows}
        total={rows.length}
        idOf={(id) => id}
        onOpen={(id) => change({ sources: sources.filter((one) => one !== id) })}
        empty={t.basketEmpty}
        height={240}
      />
      <Paste draft={draft} change={change} />
    </section>
  );
}

function Paste({ draft, change }: Pick<StepProps, 'draft' | 'change'>): ReactNode {
  const [pasted, setPasted] = useState('');
  const [said, setSaid] = useState('');
  const add = () => {
    const sources = [...new Set([...draft.sources, ...parseIds(pasted)])];
    change({ sources });
    setSaid(t.pasteAdded(sources.length - draft.sources.length));
    setPasted('');
  };
  return (
    <>
      <Textarea
        label={t.paste}
        description={t.pasteHow}
        value={pasted}
        onChange={({ currentTarget }) => setPasted(currentTarget.value)}
        rows={3}
      />
      <div className="bar">
        <Button variant="default" disabled={pasted.trim() === ''} onClick={add}>
          {t.pasteAdd}
        </Button>
        <span role="status" className="quiet">
          {said}
        </span>
      </div>
    </>
  );
}

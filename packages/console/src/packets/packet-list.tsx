/** The live list: filters, pause, following, and why it is empty where it is. */
import { Button, MultiSelect } from '@mantine/core';
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import type { PacketRow } from '../api/types.ts';
import { Data } from '../parts/marks.tsx';
import { DataTable } from '../parts/table.tsx';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { PACKET_COLUMNS } from './columns.tsx';
import { DisplayFilter } from './display-filter.tsx';
import { COPY_KINDS, ORIGINAL_KINDS, type OriginalKind } from './fates.ts';
import classes from './packets.module.css';
import type { PacketSearch } from './search.ts';
import type { LookShown } from './use-look.ts';

const t = text.packets;

export interface PacketListProps {
  shown: LookShown;
  search: PacketSearch;
  onSearch(change: Partial<PacketSearch>): void;
}

const listOf = (value: string | undefined) => (value === undefined ? [] : value.split(','));

export function PacketList({ shown, search, onSearch }: PacketListProps): ReactNode {
  const { packets, store } = shown;
  const { copy, original } = search;
  const [isFollowing, setFollowing] = useState(true);
  const onLeave = useCallback(() => setFollowing(false), []);
  const latest = useRef(onSearch);
  latest.current = onSearch;
  const onOpen = useCallback(({ packet }: PacketRow) => latest.current({ packet: packet.number }), []);
  useEffect(() => {
    store.filterBy({ copy: listOf(copy), original: listOf(original) as OriginalKind[] });
  }, [store, copy, original]);
  const selected = packets.rows.findIndex(({ packet }) => packet.number === search.packet);
  return (
    <section className={classes.list} aria-label={t.table}>
      <div className="bar">
        <DisplayFilter
          value={search.display ?? ''}
          onFilter={(display) => onSearch({ display: display || undefined })}
        />
        <FateSelect
          label={t.copyFilter}
          all={t.anyCopy}
          words={t.copies}
          kinds={COPY_KINDS}
          value={listOf(copy)}
          onChange={(kinds) => onSearch({ copy: kinds })}
        />
        <FateSelect
          label={t.originalFilter}
          all={t.anyOriginal}
          words={t.originals}
          kinds={ORIGINAL_KINDS}
          value={listOf(original)}
          onChange={(kinds) => onSearch({ original: kinds })}
        />
        <PauseButton shown={shown} />
        <Button variant="default" aria-pressed={isFollowing} onClick={() => setFollowing(!isFollowing)}>
          {isFollowing ? t.following : t.follow}
        </Button>
        <Shown shown={shown} />
      </div>
      <DataTable
        label={t.table}
        columns={PACKET_COLUMNS}
        rows={packets.rows}
        total={packets.rows.length}
        idOf={({ packet }) => String(packet.number)}
        onOpen={onOpen}
        opened={selected < 0 ? undefined : selected}
        tail={{ isOn: isFollowing && packets.waiting === undefined, onLeave }}
        empty={<Empty shown={shown} />}
      />
    </section>
  );
}

function PauseButton({ shown: { packets, store } }: { shown: LookShown }): ReactNode {
  const isPaused = packets.waiting !== undefined;
  return (
    <Button variant="default" onClick={() => (isPaused ? store.resume() : store.pause())}>
      {isPaused ? t.resume : t.pause}
    </Button>
  );
}

/** How many rows are shown, and how many are not. */
function Shown({ shown: { packets } }: { shown: LookShown }): ReactNode {
  const { rows, hiddenByFate, hiddenByDisplay, waiting, lostWaiting } = packets;
  const parts = [
    t.shown(number(rows.length)),
    ...(hiddenByFate > 0 ? [t.hiddenByFate(number(hiddenByFate))] : []),
    ...(hiddenByDisplay > 0 ? [t.hiddenByDisplay(number(hiddenByDisplay))] : []),
    ...(waiting !== undefined ? [t.waiting(number(waiting))] : []),
    ...(lostWaiting > 0 ? [t.lostWaiting(number(lostWaiting))] : []),
  ];
  return <span className="quiet number">{parts.join(' · ')}</span>;
}

function Empty({ shown: { packets, look } }: { shown: LookShown }): ReactNode {
  const { hiddenByFate, hiddenByDisplay } = packets;
  if (hiddenByFate + hiddenByDisplay > 0) {
    return (
      <>
        {t.allHidden} {hiddenByFate > 0 && t.hiddenByFate(number(hiddenByFate))}{' '}
        {hiddenByDisplay > 0 && t.hiddenByDisplay(number(hiddenByDisplay))}
      </>
    );
  }
  return look?.state === 'running' ? t.nothingYet : t.nothing;
}

/** A filter by fate, with the words of the list. */
function FateSelect<K extends string>(props: {
  label: string;
  all: string;
  words: Record<K, string>;
  kinds: readonly K[];
  value: string[];
  onChange(kinds: string | undefined): void;
}): ReactNode {
  const { label, all, words, kinds, value, onChange } = props;
  return (
    <MultiSelect
      size="xs"
      w={170}
      aria-label={label}
      placeholder={value.length === 0 ? all : ''}
      data={kinds.map((kind) => ({ value: kind, label: words[kind] }))}
      renderOption={({ option }) => <Data>{option.label}</Data>}
      value={value}
      onChange={(chosen) => onChange(chosen.join(',') || undefined)}
      clearable
      clearButtonProps={{ 'aria-label': text.table.clearFilter }}
    />
  );
}

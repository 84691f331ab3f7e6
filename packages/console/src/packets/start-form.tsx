/** Begins a look: at what, which packets, for how long. */
import { Button, Checkbox, MultiSelect, Pill, SegmentedControl, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import { useLack } from '../data/rights.ts';
import { OrRefused } from '../parts/allowed.tsx';
import { refusalOf } from '../parts/dialog.tsx';
import { Data, Said } from '../parts/marks.tsx';
import { NamePicker } from '../parts/name-picker.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';
import { COPY_FATES, type CopyFate, fatesIn } from './copy-fates.ts';
import { InterfacesPicker } from './interfaces-picker.tsx';
import type { PacketSearch } from './search.ts';

const t = text.packets;
/** Milliseconds after the last key until words are checked. */
const TYPING_MS = 300;
const DURATIONS = ['10', '30', '60', '600'] as const;

interface Asked {
  kind: 'interfaces' | 'policy';
  interfaces: string[];
  policy: string;
  words: string;
  fates: CopyFate[];
  payload: boolean;
  seconds: string;
  comment: string;
}

function askedOf({ interfaces, policy, words, fates, for: seconds }: PacketSearch): Asked {
  return {
    kind: policy === undefined ? 'interfaces' : 'policy',
    interfaces: interfaces?.split(',') ?? [],
    policy: policy ?? '',
    words: words ?? '',
    fates: fatesIn(fates),
    payload: false,
    seconds: DURATIONS.find((one) => one === String(seconds)) ?? '60',
    comment: '',
  };
}

/** What the controller says of capture words while they are typed. */
function useWordsProblem(words: string): string | undefined {
  const [paused] = useDebouncedValue(words, TYPING_MS);
  const { data } = useQuery({
    queryKey: ['look words', paused],
    enabled: paused.trim() !== '',
    queryFn: ({ signal }) => answer(api.GET('/api/v1/looks/check', { params: { query: { words: paused } }, signal })),
    retry: false,
  });
  return paused === words ? data?.words?.message : undefined;
}

/** What the parts of the form get. */
interface PartProps {
  asked: Asked;
  change(part: Partial<Asked>): void;
  /** What the controller refused. */
  error: Error | null;
}

/** @param onBegun is told of the look, and of what the address has to say */
export function StartForm(props: { search: PacketSearch; onBegun(search: PacketSearch): void }): ReactNode {
  const { search, onBegun } = props;
  const [asked, setAsked] = useState(() => askedOf(search));
  const wordsProblem = useWordsProblem(asked.words);
  // A policy may get other sources while it is looked at.
  const isScoped = useLack('packets', {}) !== undefined;
  const begin = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/looks', { body: bodyOf(asked) as never })),
    onSuccess: ({ id }) => onBegun({ ...searchOf(asked), look: id }),
  });
  const part: PartProps = { asked, change: (some) => setAsked({ ...asked, ...some }), error: begin.error };
  const { kind, policy, interfaces } = asked;
  const isReady = (kind === 'policy' ? policy !== '' : interfaces.length > 0) && wordsProblem === undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    begin.mutate();
  };
  return (
    <form className="panel" onSubmit={submit}>
      <p className="quiet">{t.how}</p>
      <WhatPart {...part} />
      <WhichPart {...part} wordsProblem={wordsProblem} />
      <BoundsPart {...part} />
      <ProblemAlert error={begin.error} />
      <div className="bar">
        <OrRefused label={t.start} why={kind === 'policy' && isScoped ? t.policyEverywhere : undefined}>
          <Button type="submit" loading={begin.isPending} disabled={!isReady}>
            {t.start}
          </Button>
        </OrRefused>
      </div>
    </form>
  );
}

/** The request for the look. */
function bodyOf({ kind, policy, interfaces, words, fates, payload, comment }: Asked): object {
  return {
    ...(kind === 'policy' ? { policy } : { interfaces }),
    words: words.trim(),
    ...(fates.length > 0 && { fates }),
    payload,
    comment,
  };
}

/** What the address says of it: the same form for others. */
function searchOf({ kind, policy, interfaces, words, fates, seconds }: Asked): PacketSearch {
  return {
    ...(kind === 'policy' ? { policy } : { interfaces: interfaces.join(',') }),
    ...(words.trim() && { words: words.trim() }),
    ...(fates.length > 0 && { fates: fates.join(',') }),
    for: Number(seconds),
  };
}

function WhatPart({ asked, change, error }: PartProps): ReactNode {
  const { kind, policy, interfaces } = asked;
  return (
    <>
      <div className="bar">
        <SegmentedControl
          aria-label={t.what}
          value={kind}
          onChange={(value) => change({ kind: value as Asked['kind'] })}
          data={[
            { value: 'interfaces', label: t.ofInterfaces },
            { value: 'policy', label: t.ofPolicy },
          ]}
        />
      </div>
      {kind === 'policy' ? (
        <NamePicker
          list="policies"
          label={t.policy}
          value={policy}
          onChange={(name) => change({ policy: name })}
          error={refusalOf(error, 'policy')}
        />
      ) : (
        <InterfacesPicker
          chosen={interfaces}
          onChange={(ids) => change({ interfaces: ids })}
          error={refusalOf(error, 'interfaces')}
        />
      )}
    </>
  );
}

function WhichPart({
  asked,
  change,
  error,
  wordsProblem,
}: PartProps & { wordsProblem: string | undefined }): ReactNode {
  const { words, fates } = asked;
  return (
    <>
      <TextInput
        label={t.words}
        description={t.wordsHow}
        placeholder={t.wordsExample}
        value={words}
        onChange={({ currentTarget }) => change({ words: currentTarget.value })}
        error={wordsProblem === undefined ? refusalOf(error, 'words') : <Said>{wordsProblem}</Said>}
      />
      <MultiSelect
        size="xs"
        label={t.fates}
        placeholder={fates.length === 0 ? t.allFates : ''}
        data={COPY_FATES}
        renderOption={({ option }) => <Data>{option.value}</Data>}
        renderPill={({ option, onRemove }) => (
          <Pill withRemoveButton onRemove={onRemove} translate="no">
            {option.value}
          </Pill>
        )}
        value={fates}
        onChange={(chosen) => change({ fates: chosen as CopyFate[] })}
        clearable
        clearButtonProps={{ 'aria-label': text.table.clearFilter }}
        error={refusalOf(error, 'fates')}
      />
    </>
  );
}

function BoundsPart({ asked, change, error }: PartProps): ReactNode {
  const { seconds, payload, comment } = asked;
  return (
    <>
      <div>
        <div>{t.duration}</div>
        <SegmentedControl
          aria-label={t.duration}
          value={seconds}
          onChange={(value) => change({ seconds: value })}
          data={DURATIONS.map((value) => ({ value, label: t.durations[value] }))}
        />
      </div>
      <Checkbox
        label={t.payload}
        description={t.payloadHow}
        checked={payload}
        onChange={({ currentTarget }) => change({ payload: currentTarget.checked })}
        error={refusalOf(error, 'payload')}
      />
      <TextInput
        label={t.comment}
        description={t.commentHow}
        value={comment}
        onChange={({ currentTarget }) => change({ comment: currentTarget.value })}
        error={refusalOf(error, 'comment')}
      />
    </>
  );
}

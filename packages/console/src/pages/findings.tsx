/** Where packets between two interfaces are lost: asks, waits, and shows the answer. */
import { Button, NumberInput, Progress, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Finding } from '../api/types.ts';
import { useNow } from '../data/clock.ts';
import { useTitle } from '../data/title.ts';
import { AllowedPart } from '../parts/allowed.tsx';
import { FindingAnswerView } from '../parts/finding-answer.tsx';
import { InterfacePicker } from '../parts/interface-picker.tsx';
import { Data, Said } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { RowTable } from '../parts/row-table.tsx';
import { dateTime, number } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.findings;
/** Seconds to look: what is usual, and what the controller takes. */
const [USUAL, LEAST, MOST] = [30, 5, 120];
/** Milliseconds between two questions for an answer. */
const ASK_MS = 1000;

export function FindingsPage(): ReactNode {
  useTitle(t.title);
  const { id } = useSearch({ from: '/findings' });
  return (
    <>
      <div className="bar">
        <h1>{t.title}</h1>
      </div>
      <p className="quiet">{t.how}</p>
      <AllowedPart right="packets">
        <Question />
        {id !== undefined && <OneFinding key={id} id={id} />}
        <Past />
      </AllowedPart>
    </>
  );
}

function Question(): ReactNode {
  const search = useSearch({ from: '/findings' });
  const navigate = useNavigate();
  const client = useQueryClient();
  const [from, setFrom] = useState(search.from ?? '');
  const [to, setTo] = useState(search.to ?? '');
  const [seconds, setSeconds] = useState<number | string>(USUAL);
  const [words, setWords] = useState('');
  const begin = useMutation({
    mutationFn: () => {
      return answer(api.POST('/api/v1/findings', { body: { from, to, words, seconds: Number(seconds) } }));
    },
    onSuccess: async ({ id }) => {
      await client.invalidateQueries({ queryKey: ['findings'] });
      await navigate({ to: '/findings', search: { from, to, id } });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    begin.mutate();
  };
  return (
    <form onSubmit={submit}>
      <div className="bar">
        <InterfacePicker label={t.from} value={from} onChange={setFrom} />
        <InterfacePicker label={t.to} value={to} onChange={setTo} />
        <NumberInput size="xs" w={90} label={t.seconds} min={LEAST} max={MOST} value={seconds} onChange={setSeconds} />
        <TextInput
          size="xs"
          w={220}
          label={t.words}
          placeholder={t.wordsHint}
          value={words}
          onChange={({ currentTarget }) => setWords(currentTarget.value)}
        />
        <Button type="submit" loading={begin.isPending} mt="md">
          {t.begin}
        </Button>
      </div>
      <ProblemAlert error={begin.error} />
    </form>
  );
}

function OneFinding({ id }: { id: string }): ReactNode {
  const { data, error } = useQuery({
    queryKey: ['findings', id],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/findings/{id}', { params: { path: { id } }, signal })),
    refetchInterval: ({ state }) => (state.data?.state === 'done' || state.error ? false : ASK_MS),
  });
  return (
    <section aria-labelledby="finding">
      {data && (
        <h2 id="finding" translate="no">
          {data.from} → {data.to}
        </h2>
      )}
      <ProblemAlert error={error} />
      {data && data.state !== 'done' && <Waiting finding={data} />}
      {data && <FindingAnswerView finding={data} />}
      {data && (
        <p>
          <Link to="/packets" search={{ look: data.look }}>
            {t.showPackets}
          </Link>{' '}
          <span className="quiet">{t.packetsKept}</span>
        </p>
      )}
    </section>
  );
}

function Waiting({ finding: { endsAt, seconds, seen } }: { finding: Finding }): ReactNode {
  const now = useNow();
  const left = endsAt === undefined ? seconds : Math.max(0, Math.round((Date.parse(endsAt) - now) / 1000));
  const done = endsAt === undefined ? 0 : Math.min(100, 100 * (1 - left / seconds));
  const says = endsAt === undefined ? t.starting : t.looking(left);
  return (
    <div className="panel">
      <p role="status">{says}</p>
      <Progress value={done} aria-label={says} />
      <p className="quiet">{t.seen(number(seen))}</p>
    </div>
  );
}

function Past(): ReactNode {
  const { data, error } = useQuery({
    queryKey: ['findings'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/findings', { signal })),
  });
  return (
    <section className="panel" aria-labelledby="past">
      <h2 id="past">{t.past}</h2>
      <p className="quiet">{t.pastHow}</p>
      <ProblemAlert error={error} />
      {data?.items.length === 0 && <p>{t.pastNone}</p>}
      {data !== undefined && data.items.length > 0 && (
        <RowTable heads={[t.when, `${t.from} → ${t.to}`, t.who, t.answer]}>
          {data.items.map((one) => (
            <PastRow key={one.id} finding={one} />
          ))}
        </RowTable>
      )}
    </section>
  );
}

function PastRow({ finding: { id, from, to, beganAt, owner, answer: given } }: { finding: Finding }): ReactNode {
  return (
    <tr>
      <td className="number" translate="no">
        <Link to="/findings" search={{ from, to, id }}>
          {dateTime(beganAt)}
        </Link>
      </td>
      <td translate="no">
        {from} → {to}
      </td>
      <td>
        <Data>{owner}</Data>
      </td>
      <td>{given === undefined ? t.noAnswer : <Said>{given.message}</Said>}</td>
    </tr>
  );
}

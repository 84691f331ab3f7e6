/** The test of a policy: probes of each size from each node with sources, and where they died. */
import { Button } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { answer, api, ProblemError } from '../api/client.ts';
import type { PolicyTest, PolicyTestRow, Reason } from '../api/types.ts';
import { queryClient } from '../data/query-client.ts';
import { useLack } from '../data/rights.ts';
import { useTitle } from '../data/title.ts';
import { Allowed } from '../parts/allowed.tsx';
import classes from '../parts/event-list.module.css';
import { Data, Known, OutcomeMark } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { ReasonList } from '../parts/reasons.tsx';
import { byteAmount, dateTime, number } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.policyTest;

export function PolicyTestPage(): ReactNode {
  const { name } = useParams({ from: '/policies/$name/test' });
  useTitle(t.title(name));
  const params = { path: { name } };
  const queryKey = ['policy-test', name];
  const lack = useLack('read', `policy/${name}`);
  const last = useQuery({
    queryKey,
    enabled: lack === undefined,
    queryFn: async ({ signal }): Promise<PolicyTest | null> => {
      try {
        return await answer(api.GET('/api/v1/policies/{name}/test', { params, signal }));
      } catch (error) {
        if (error instanceof ProblemError && error.problem.code === 'NOT_FOUND') {
          return null;
        }
        throw error;
      }
    },
  });
  const run = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/policies/{name}/test', { params })),
    onSuccess: (result) => queryClient.setQueryData(queryKey, result),
  });
  return (
    <>
      <div className="bar">
        <h1>
          {t.heading}{' '}
          <Link to="/policies/$name" params={params.path} search={{}} translate="no">
            {name}
          </Link>
        </h1>
        <span className="grow" />
        <Allowed right="policy" about={`policy/${name}`} label={t.run}>
          <Button loading={run.isPending} onClick={() => run.mutate()}>
            {t.run}
          </Button>
        </Allowed>
      </div>
      <p>{t.how}</p>
      <p role="status" className="quiet">
        {run.isPending && t.running}
      </p>
      {lack !== undefined && <p>{lack}</p>}
      <ProblemAlert error={run.error ?? last.error} />
      {last.data === null && <p className="quiet">{t.never}</p>}
      {last.data && <Result test={last.data} />}
    </>
  );
}

function Result({ test }: { test: PolicyTest }): ReactNode {
  const reasons = reasonsOf(test.rows);
  return (
    <section className="panel" aria-labelledby="result">
      <h2 id="result">{t.result}</h2>
      <p>
        <OutcomeMark outcome={test.outcome} /> {t.summaries[test.outcome]}{' '}
        <span className="quiet">
          <Data>{dateTime(test.endedAt)}</Data> {text.policy.by(test.by)}
        </span>
      </p>
      <Rows rows={test.rows} />
      {reasons.length > 0 && <ReasonList reasons={reasons} />}
      {test.untested.length > 0 && (
        <p>
          {t.untested} <Data>{test.untested.join(', ')}</Data>
        </p>
      )}
    </section>
  );
}

/** What to do, once for all sizes that say the same. */
function reasonsOf(rows: readonly PolicyTestRow[]): Reason[] {
  const said = rows.flatMap(({ code, message, remedy, node }) =>
    code && message ? [{ code, message, remedy, node }] : [],
  );
  return [...new Map(said.map((one) => [`${one.node} ${one.message}`, one])).values()].map(({ remedy, ...reason }) => ({
    ...reason,
    ...(remedy !== undefined && { remedy }),
  }));
}

function Rows({ rows }: { rows: readonly PolicyTestRow[] }): ReactNode {
  const heads = [t.node, t.to, t.size, t.length, t.made, t.sent, t.arrived, t.delivered, t.outcome];
  return (
    <table className={classes.events} aria-label={t.result}>
      <thead>
        <tr>
          {heads.map((head) => (
            <th scope="col" key={head}>
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Row key={`${row.node} ${row.size}`} row={row} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ row }: { row: PolicyTestRow }): ReactNode {
  const { node, to, size, length, made, sent, arrived, delivered, outcome, place } = row;
  return (
    <tr>
      {[node, to].map((name, at) => (
        <td key={at === 0 ? 'node' : 'to'}>
          <Link to="/nodes/$name" params={{ name }} translate="no">
            {name}
          </Link>
        </td>
      ))}
      <td>{t.sizes[size]}</td>
      <td>
        <Known value={length} as={byteAmount} />
      </td>
      {Object.entries({ made, sent, arrived, delivered }).map(([hop, count]) => (
        <td key={hop}>
          <Known value={count} as={number} />
        </td>
      ))}
      <td>
        <OutcomeMark outcome={outcome} /> {place !== undefined && <span>{t.places[place]}</span>}
      </td>
    </tr>
  );
}

/** Who can see the traffic of an interface: policies and looks, now and earlier. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { LookViewer, Viewer } from '../api/types.ts';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Data, Mark, Said, Unknown } from './marks.tsx';
import { ProblemAlert } from './problem.tsx';
import { RowTable } from './row-table.tsx';

const t = text.interfaces;
/** Milliseconds between two questions: looks come and go without a change of the interface. */
const ASK_MS = 10_000;

export function Viewers({ id }: { id: string }): ReactNode {
  const { data, error } = useQuery({
    queryKey: [`interface:${id}`, 'viewers'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/interfaces/{id}/viewers', { params: { path: { id } }, signal })),
    refetchInterval: ASK_MS,
  });
  return (
    <section className="panel" aria-labelledby="viewers">
      <h2 id="viewers">{t.viewers}</h2>
      <p className="quiet">{t.viewersHow}</p>
      <ProblemAlert error={error} />
      {data?.items.length === 0 && <p>{t.viewersNone}</p>}
      {data !== undefined && data.items.length > 0 && (
        <RowTable heads={[text.policies.name, text.policies.state, t.to, t.captures, t.who]}>
          {data.items.map((viewer) => (
            <ViewerRow key={viewer.policy} viewer={viewer} />
          ))}
        </RowTable>
      )}
      {data?.looks.length === 0 && <p>{t.looksNone}</p>}
      {data !== undefined && data.looks.length > 0 && (
        <RowTable heads={[t.looked, text.policies.state, t.since, t.until, t.who]}>
          {data.looks.map((viewer) => (
            <LookRow key={`${viewer.look} ${viewer.from}`} viewer={viewer} />
          ))}
        </RowTable>
      )}
    </section>
  );
}

function ViewerRow({ viewer }: { viewer: Viewer }): ReactNode {
  const { policy, isNow, enabled, destination, captures, createdBy } = viewer;
  const state = enabled === undefined ? t.policyGone : t.past;
  return (
    <tr>
      <td>
        {enabled === undefined ? (
          <Data>{policy}</Data>
        ) : (
          <Link to="/policies/$name" params={{ name: policy }} translate="no">
            {policy}
          </Link>
        )}
      </td>
      <td>
        <Now isNow={isNow} past={state} />
      </td>
      <td>{destination === undefined ? <Unknown /> : <Data>{destination.id}</Data>}</td>
      <td>
        {captures.map(({ node, from, until }) => (
          <div key={`${node} ${from}`} className="number" translate="no">
            {node}: {from === undefined ? '?' : dateTime(from)} – {until === undefined ? '' : dateTime(until)}
          </div>
        ))}
      </td>
      <td>{createdBy === undefined ? <Unknown /> : <Data>{createdBy}</Data>}</td>
    </tr>
  );
}

function LookRow({ viewer: { owner, isNow, from, until, message } }: { viewer: LookViewer }): ReactNode {
  return (
    <tr>
      <td>
        <Said>{message}</Said>
      </td>
      <td>
        <Now isNow={isNow} past={t.past} />
      </td>
      <td className="number" translate="no">
        {from === undefined ? <Unknown /> : dateTime(from)}
      </td>
      <td className="number" translate="no">
        {until !== undefined && dateTime(until)}
        {until === undefined && !isNow && <Unknown />}
      </td>
      <td>{owner === '' ? <Unknown /> : <Data>{owner}</Data>}</td>
    </tr>
  );
}

function Now({ isNow, past }: { isNow: boolean; past: string }): ReactNode {
  return (
    <Mark tone={isNow ? 'calm' : 'quiet'} sign={isNow ? '●' : '○'}>
      {isNow ? t.now : past}
    </Mark>
  );
}

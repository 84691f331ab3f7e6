/** What waits for consent: first what the person at this browser can consent to. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useApprovals } from '../data/approvals.ts';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Mark } from './marks.tsx';
import { ProblemAlert } from './problem.tsx';

const t = text.approval;
/** Requests that are shown here. The list of policies has all. */
const SHOWN = 5;

/** Nothing where nothing waits. */
export function Approvals(): ReactNode {
  const { data, error } = useApprovals();
  if (!data || data.total === 0) {
    return <ProblemAlert error={error} />;
  }
  return (
    <section className="panel" aria-labelledby="approvals">
      <div className="bar">
        <h2 id="approvals">
          {t.title} <span className="quiet">{t.yours(data.yours, data.total)}</span>
        </h2>
        <Link to="/policies" search={{ q: 'consent:waits' }}>
          {text.overview.all(t.title)}
        </Link>
      </div>
      <ProblemAlert error={error} />
      <ul>
        {data.items.slice(0, SHOWN).map(({ policy, kind, requestedBy, requestedAt, rights, yours }) => (
          <li key={policy}>
            <Mark tone={yours ? 'warn' : 'calm'} sign="◔">
              {yours ? t.forYou : t.forOthers}
            </Mark>{' '}
            <Link to="/policies/$name" params={{ name: policy }} translate="no">
              {policy}
            </Link>
            : {t.request(kind, requestedBy, dateTime(requestedAt))}; {t.missing(rights.join(', '))}
          </li>
        ))}
      </ul>
    </section>
  );
}

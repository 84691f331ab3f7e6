/** The columns of policies: state, and apart from it what becomes of the packets. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { PolicySummary } from '../api/types.ts';
import { serverNow } from '../data/clock.ts';
import { bitRate, dateTime, number, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Data, HealthMark, Known, StateMark } from './marks.tsx';
import { WithReasons } from './reasons.tsx';
import { Sparkline } from './sparkline.tsx';
import type { Column } from './table.tsx';

const t = text.policies;

/** Milliseconds before its end from which a list says when a policy ends. */
const SOON_MS = 24 * 3_600_000;

/** When a policy ends, if that is soon. */
export function EndsSoon({ at }: { at: string | undefined }): ReactNode {
  if (at === undefined || Date.parse(at) - serverNow() > SOON_MS) {
    return null;
  }
  return <span className="quiet"> {t.ends(dateTime(at))}</span>;
}

export const POLICY_COLUMNS: readonly Column<PolicySummary>[] = [
  {
    key: 'name',
    header: t.name,
    width: 'minmax(120px,2fr)',
    sort: 'name',
    cell: ({ name, endsAt, enabled }) => (
      <>
        <Link to="/policies/$name" params={{ name }} tabIndex={-1} translate="no">
          {name}
        </Link>
        {enabled && <EndsSoon at={endsAt} />}
      </>
    ),
  },
  { key: 'type', header: t.type, width: 'minmax(96px,1fr)', sort: 'type', cell: ({ type }) => text.types[type] },
  {
    key: 'state',
    header: t.state,
    width: 'minmax(144px,1fr)',
    sort: 'state',
    cell: ({ name, state, reasons }) => (
      <WithReasons reasons={reasons} label={t.stateReasons(name)}>
        <StateMark state={state} />
      </WithReasons>
    ),
  },
  {
    key: 'health',
    header: t.health,
    width: 'minmax(100px,1fr)',
    sort: 'health',
    cell: ({ name, health }) => (
      <WithReasons reasons={health.reasons} label={t.healthReasons(name)}>
        <HealthMark health={health.state} />
      </WithReasons>
    ),
  },
  {
    key: 'sources',
    header: t.sources,
    width: '72px',
    sort: 'sourceCount',
    align: 'end',
    cell: ({ sourceCount }) => number(sourceCount),
  },
  {
    key: 'destination',
    header: t.destination,
    width: 'minmax(96px,1fr)',
    sort: 'destination',
    cell: ({ destination: { id } }) => <Data>{id}</Data>,
  },
  {
    key: 'rate',
    header: t.rate,
    width: '98px',
    align: 'end',
    sort: 'copied',
    cell: ({ rates }) => <Known value={rates.copied?.bitsPerSecond} as={bitRate} />,
  },
  {
    key: 'copied',
    header: t.copied,
    width: '78px',
    align: 'end',
    cell: ({ rates }) => <Known value={rates.copied?.packetsPerSecond} as={packetRate} />,
  },
  {
    key: 'dropped',
    header: t.dropped,
    width: '78px',
    align: 'end',
    sort: 'dropped',
    cell: ({ rates }) => <Known value={rates.dropped} as={packetRate} />,
  },
  {
    key: 'lost',
    header: t.lost,
    width: '78px',
    align: 'end',
    sort: 'lost',
    cell: ({ rates }) => <Known value={rates.lost} as={packetRate} />,
  },
  { key: 'line', header: t.sparkline, width: '112px', cell: ({ sparkline }) => <Sparkline values={sparkline} /> },
];

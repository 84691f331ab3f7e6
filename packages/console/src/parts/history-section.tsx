/** Rates over time of one thing: the range that is shown, and what stands around the charts. */
import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { History } from '../api/types.ts';
import { text } from '../text/index.ts';
import { ProblemAlert } from './problem.tsx';

const t = text.history;
/**
 * Milliseconds between two readings: the short history has a point a second, the long one every ten
 * seconds.
 */
const READ_MS = { '1s': 2_000, '10s': 10_000 };
export type Resolution = keyof typeof READ_MS;

/** The range is in the address: a link shows the same to others. */
function useRange(): [Resolution, (resolution: Resolution) => void] {
  const { range } = useSearch({ strict: false });
  const navigate = useNavigate();
  const show = (resolution: Resolution) =>
    void navigate({
      to: '.',
      search: ((before: object) => ({ ...before, range: resolution === '10s' ? 'hour' : undefined })) as never,
      replace: true,
    });
  return [range === 'hour' ? '10s' : '1s', show];
}

export interface HistorySectionProps {
  /** What it is the history of, as keys of queries. */
  of: readonly [topic: string, ...string[]];
  read(resolution: Resolution, signal: AbortSignal): Promise<History>;
  /** Says what dashed lines are. */
  how: string;
  children(history: History): ReactNode;
}

export function HistorySection({ of, read, how, children }: HistorySectionProps): ReactNode {
  const [resolution, show] = useRange();
  const { data, error } = useQuery({
    queryKey: [...of, 'history', resolution],
    queryFn: ({ signal }) => read(resolution, signal),
    refetchInterval: READ_MS[resolution],
    placeholderData: (before) => before,
  });
  return (
    <section className="panel" aria-labelledby="history">
      <div className="bar">
        <h2 id="history">{t.title}</h2>
        <span className="quiet">{how}</span>
        <span className="grow" />
        <SegmentedControl
          aria-label={t.range}
          value={resolution}
          onChange={(value) => show(value as Resolution)}
          data={[
            { value: '1s', label: t.minutes5 },
            { value: '10s', label: t.hour },
          ]}
        />
      </div>
      <ProblemAlert error={error} />
      {data?.cut && <p className="quiet">{t.cut}</p>}
      {data && (data.series.deliveredPackets.length === 0 ? <p className="quiet">{t.none}</p> : children(data))}
    </section>
  );
}

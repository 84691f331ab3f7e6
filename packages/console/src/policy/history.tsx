/**
 * How the traffic of a policy went: rates over time, with gaps where nothing is known, and events
 * marked on them.
 */
import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useMemo, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { History } from '../api/types.ts';
import { Chart, type Series } from '../parts/chart.tsx';
import { useEvents } from '../parts/event-list.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { bitRate, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.policy;
/**
 * Milliseconds between two readings: the short history has a point a second, the long one every ten
 * seconds.
 */
const READ_MS = { '1s': 2_000, '10s': 10_000 };
type Resolution = keyof typeof READ_MS;
/** Lines of one chart at most, beside that of what was lost. */
const MAX_DROPS = 5;

export function PolicyHistory({ name }: { name: string }): ReactNode {
  const [resolution, setResolution] = useState<Resolution>('1s');
  const { data, error } = useQuery({
    queryKey: [`policy:${name}`, 'history', resolution],
    queryFn: ({ signal }) => {
      const params = { path: { name }, query: { resolution } };
      return answer(api.GET('/api/v1/policies/{name}/history', { params, signal }));
    },
    refetchInterval: READ_MS[resolution],
    placeholderData: (before) => before,
  });
  return (
    <section className="panel" aria-labelledby="history">
      <div className="bar">
        <h2 id="history">{t.charts}</h2>
        <span className="quiet">{t.chartHow}</span>
        <span className="grow" />
        <SegmentedControl
          aria-label={t.range}
          value={resolution}
          onChange={(value) => setResolution(value as Resolution)}
          data={[
            { value: '1s', label: t.minutes5 },
            { value: '10s', label: t.hour },
          ]}
        />
      </div>
      <ProblemAlert error={error} />
      {data && <Charts name={name} history={data} />}
    </section>
  );
}

function Charts({ name, history }: { name: string; history: History }): ReactNode {
  const { series, cut } = history;
  const events = useEvents({ limit: 100, object: `policy/${name}` });
  const times = useMemo(() => timesOf(history), [history]);
  const marks = events.data?.items.map(({ at }) => Date.parse(at) / 1000) ?? [];
  const shared = { times, marks };
  if (times.length === 0) {
    return <p className="quiet">{t.noHistory}</p>;
  }
  return (
    <>
      {cut && <p className="quiet">{t.chartCut}</p>}
      <div className="grid-2">
        <Chart
          {...shared}
          title={t.chartCopied}
          as={packetRate}
          series={[
            { label: t.copied, colour: '--calm', values: series.copiedPackets ?? [] },
            { label: t.delivered, colour: '--good', values: series.deliveredPackets },
          ]}
        />
        <Chart
          {...shared}
          title={t.chartBits}
          as={bitRate}
          series={[{ label: t.copied, colour: '--calm', values: series.copiedBits ?? [] }]}
        />
        <Chart {...shared} title={t.chartLoss} as={packetRate} series={lossesOf(history)} />
      </div>
    </>
  );
}

/** Seconds since 1970 of the points. */
function timesOf({ from, stepMs, series }: History): number[] {
  const begin = Date.parse(from);
  return series.deliveredPackets.map((_, index) => (begin + index * stepMs) / 1000);
}

function lossesOf({ series }: History): Series[] {
  const drops = Object.entries(series.dropped ?? {}).slice(0, MAX_DROPS);
  const colours = ['--warn', '--quiet', '--good', '--calm', '--line'];
  return [
    { label: t.chartLost, colour: '--bad', values: series.lost ?? [] },
    ...drops.map(([reason, values], index) => ({
      label: t.dropped(reason),
      colour: colours[index % colours.length]!,
      values: values ?? [],
    })),
  ];
}

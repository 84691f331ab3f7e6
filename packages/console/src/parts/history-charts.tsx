/** The charts of a history. They share a cross-hair, and dashed lines say what happened when. */
import { type ReactNode, useMemo } from 'react';
import type { History } from '../api/types.ts';
import { bitRate, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Chart, type Series } from './chart.tsx';
import { useEvents } from './event-list.tsx';

const t = text.history;
/** Lines of drops in one chart at most. */
const MAX_DROPS = 5;
const DROP_COLOURS = ['--warn', '--quiet', '--good', '--calm', '--line'];

/** One chart of a history. */
export interface HistoryChart {
  title: string;
  unit: 'packets' | 'bits';
  series: Series[];
}

/** @param object whose events are marked: `KIND/NAME` */
export function HistoryCharts(props: { history: History; object: string; charts: HistoryChart[] }): ReactNode {
  const { history, object, charts } = props;
  const events = useEvents({ limit: 100, object });
  const times = useMemo(() => timesOf(history), [history]);
  const marks = events.data?.items.map(({ at }) => Date.parse(at) / 1000) ?? [];
  return (
    <div className="grid-2">
      {charts.map(({ title, unit, series }) => (
        <Chart key={title} {...{ title, times, marks, series }} as={unit === 'bits' ? bitRate : packetRate} />
      ))}
    </div>
  );
}

/** Seconds since 1970 of the points. */
function timesOf({ from, stepMs, series }: History): number[] {
  const begin = Date.parse(from);
  return series.deliveredPackets.map((_, index) => (begin + index * stepMs) / 1000);
}

/** The lines of what was dropped, a line for each reason. */
export function dropsOf({ series }: History): Series[] {
  return Object.entries(series.dropped ?? {})
    .slice(0, MAX_DROPS)
    .map(([reason, values], index) => ({
      label: t.dropped(reason),
      colour: DROP_COLOURS[index % DROP_COLOURS.length]!,
      values: values ?? [],
    }));
}

/**
 * A chart of time: lines with gaps where nothing is known, marks of events, and the same as a table
 * for who sees no picture. Loaded when a page has one.
 */
import 'uplot/dist/uPlot.min.css';
import { Button, useComputedColorScheme } from '@mantine/core';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import { clockTime } from '../text/format.ts';
import { text } from '../text/index.ts';
import classes from './event-list.module.css';
import { Known } from './marks.tsx';

const HEIGHT = 170;
/** Rows of the table: the newest. */
const ROWS = 60;

export interface Series {
  label: string;
  /** A CSS variable: `--calm`. */
  colour: string;
  values: readonly (number | null)[];
}

export interface ChartProps {
  title: string;
  /** Seconds since 1970. */
  times: readonly number[];
  series: readonly Series[];
  /** Seconds since 1970 of what happened. */
  marks: readonly number[];
  /** How a value is written. */
  as(value: number): string;
}

const colourOf = (variable: string) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();

/** Dashed lines where something happened. */
function drawMarks(marks: () => readonly number[]): uPlot.Plugin {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        ctx.strokeStyle = colourOf('--warn');
        ctx.setLineDash([4, 4]);
        ctx.beginPath();
        for (const at of marks()) {
          const x = plot.valToPos(at, 'x', true);
          if (x >= bbox.left && x <= bbox.left + bbox.width) {
            ctx.moveTo(x, bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
          }
        }
        ctx.stroke();
        ctx.restore();
      },
    },
  };
}

function optionsOf({ series, as }: ChartProps, width: number, marks: () => readonly number[]): uPlot.Options {
  const quiet = {
    stroke: colourOf('--quiet'),
    grid: { stroke: colourOf('--faint'), width: 1 },
    font: '11px system-ui',
  };
  return {
    width,
    height: HEIGHT,
    // The clock of the controller, which is UTC on every page.
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), 'Etc/UTC'),
    legend: { show: true, live: true },
    cursor: { sync: { key: 'mirrorplane' }, points: { size: 5 } },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
    axes: [
      { ...quiet, values: (_plot, ticks) => ticks.map((at) => clockTime(at * 1000)), space: 80 },
      { ...quiet, values: (_plot, ticks) => ticks.map(as), size: 84 },
    ],
    series: [
      { label: text.events.at, value: (_plot, at) => (at === null ? '' : clockTime(at * 1000)) },
      ...series.map(({ label, colour }) => ({
        label,
        stroke: colourOf(colour),
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        value: (_plot: uPlot, value: number | null) => (value === null ? '' : as(value)),
      })),
    ],
    plugins: [drawMarks(marks)],
  };
}

export function Chart(props: ChartProps): ReactNode {
  const { title, series } = props;
  const [isTable, setTable] = useState(false);
  // A chart is made again only where its lines are others; the points come into the one that is
  // there.
  const shape = series.map(({ label }) => label).join('\n');
  return (
    <figure style={{ margin: 0 }} aria-label={title}>
      <figcaption className="bar">
        <strong>{title}</strong>
        <Button size="compact-xs" variant="subtle" onClick={() => setTable(!isTable)} aria-pressed={isTable}>
          {isTable ? text.common.asChart : text.common.asTable}
        </Button>
      </figcaption>
      {isTable ? <ChartTable {...props} /> : <Canvas key={shape} {...props} />}
    </figure>
  );
}

function Canvas(props: ChartProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const now = useRef(props);
  now.current = props;
  const scheme = useComputedColorScheme('light');
  const data = [props.times, ...props.series.map(({ values }) => values)] as uPlot.AlignedData;
  const first = useRef(data);
  first.current = data;
  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read again when the scheme has changed
  useEffect(() => {
    const element = box.current!;
    const options = optionsOf(now.current, Math.max(280, element.clientWidth), () => now.current.marks);
    const made = new uPlot(options, first.current, element);
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: Math.max(280, element.clientWidth), height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [scheme]);
  useEffect(() => {
    const frame = requestAnimationFrame(() => plot.current?.setData(data));
    return () => cancelAnimationFrame(frame);
  }, [data]);
  return <div ref={box} className={classes.chart} aria-hidden="true" data-chart />;
}

function ChartTable({ title, times, series, as }: ChartProps): ReactNode {
  const rows = times
    .map((at, index) => ({ at, index }))
    .slice(-ROWS)
    .reverse();
  return (
    <section className={classes.box} aria-label={title} style={{ height: HEIGHT, overflowY: 'auto' }}>
      <table className={classes.events}>
        <thead>
          <tr>
            <th scope="col">{text.events.at}</th>
            {series.map(({ label }) => (
              <th key={label} scope="col">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ at, index }) => (
            <tr key={at}>
              <td className="number" translate="no">
                {clockTime(at * 1000)}
              </td>
              {series.map(({ label, values }) => (
                <td key={label}>
                  <Known value={values[index]} as={as} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

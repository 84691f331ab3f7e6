/**
 * Series of metrics, and their text: the Prometheus text format 0.0.4, and OpenMetrics 1.0. Both want
 * all series of a metric together.
 */
import { printable } from '@mirrorplane/base';
import { Registry } from 'prom-client';
import { METRICS, type MetricEntry, type MetricKey } from './catalogue.ts';

export type Labels = Readonly<Record<string, string>>;

/** Series that are made into text at a time. */
const SERIES_AT_ONCE = 500;

/** A format, by what the scraper accepts. */
export interface Format {
  contentType: string;
  isOpen: boolean;
}

/** @param accept Accept header: OpenMetrics if it is named, else the Prometheus text format */
export function formatOf(accept: string): Format {
  const isOpen = accept.includes('application/openmetrics-text');
  return { contentType: isOpen ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE, isOpen };
}

/** Values of all series, by metric. */
export class Series {
  /** By metric: values by the text of their labels. */
  readonly #values = new Map<MetricKey, Map<string, number>>();

  /** Adds to a series. A new series begins at 0. */
  add(metric: MetricKey, value: number, labels: Labels = {}): void {
    const values = this.#values.get(metric) ?? new Map<string, number>();
    this.#values.set(metric, values);
    const text = textOf(METRICS[metric].labels, labels);
    values.set(text, (values.get(text) ?? 0) + value);
  }

  /** All metrics in the order of the catalogue, a piece of text at a time. */
  *text({ isOpen }: Format): Generator<string> {
    for (const [key, { kind, name, help }] of Object.entries<MetricEntry>(METRICS)) {
      const family = isOpen && kind === 'counter' ? name.replace(/_total$/, '') : name;
      let piece = `# HELP ${family} ${escaped(help)}\n# TYPE ${family} ${kind}\n`;
      let count = 0;
      for (const [labels, value] of this.#values.get(key as MetricKey) ?? []) {
        piece += `${name}${labels} ${value}\n`;
        if (++count % SERIES_AT_ONCE === 0) {
          yield piece;
          piece = '';
        }
      }
      yield piece;
    }
    if (isOpen) {
      yield '# EOF\n';
    }
  }
}

/** `{policy="p",state="active"}`; empty without labels. */
function textOf(names: readonly string[], labels: Labels): string {
  const parts = names.map((name) => `${name}="${labelValue(labels[name] ?? '')}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

/** Letters that need no care, which nearly all values are made of. */
const PLAIN = /^[\w.:/ -]*$/;

/** For a reader that may be a terminal: the codes of problems come from agents. */
function labelValue(value: string): string {
  return PLAIN.test(value) ? value : escaped(printable(value)).replaceAll('"', '\\"');
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

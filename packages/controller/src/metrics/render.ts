/** Metrics as text. Rendered again for each scrape, because the values come from the agents. */
import { printable } from '@mirrorplane/base';
import { Counter, Gauge, Registry, type RegistryContentType } from 'prom-client';
import type { Services } from '../services.ts';
import { METRICS, type MetricEntry, type MetricKey } from './catalogue.ts';
import { collect } from './collect.ts';

/**
 * Renders all metrics. @param accept Accept header: OpenMetrics if it is named, else the Prometheus
 * text format
 */
export async function renderMetrics(
  services: Services,
  accept: string,
): Promise<{ contentType: string; text: string }> {
  const open = accept.includes('application/openmetrics-text');
  const registry: Registry<RegistryContentType> = new Registry();
  registry.setContentType(open ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE);
  const registers = [registry];
  const made = Object.entries<MetricEntry>(METRICS).map(([key, { kind, name, help, labels }]) => {
    const options = { name, help, labelNames: [...labels], registers };
    return [key, kind === 'gauge' ? new Gauge(options) : new Counter(options)] as const;
  });
  const metrics = new Map<string, Gauge | Counter>(made);
  collect(services, (metric: MetricKey, value, series = {}) => metrics.get(metric)!.inc(printableOf(series), value));
  return { contentType: registry.contentType, text: await registry.metrics() };
}

/** Labels for a reader that may be a terminal: the codes of problems come from agents. */
function printableOf(series: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(series).map(([label, value]) => [label, printable(value)]));
}

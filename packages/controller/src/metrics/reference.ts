/**
 * The page of all metrics: `node packages/controller/src/metrics/reference.ts --write
 * docs/reference/metrics.md`.
 */
import { writeFileSync } from 'node:fs';
import { METRICS, type MetricEntry } from './catalogue.ts';

/** The page as it is committed. */
export function metricsReference(): string {
  const rows = Object.values<MetricEntry>(METRICS).map(({ name, kind, labels, help }) => {
    return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |\n`;
  });
  return `# Metrics

\`GET /metrics\` of the controller needs a token of the API; the read token is enough. The format is the Prometheus text format or OpenMetrics.
A scrape shows the last reports of the agents, which come about once a second. Counters of policies and paths lose
nothing when agents, nodes or the controller restart. Counters "since the controller was started" start again from 0.

- The sum over \`outcome\` counts each packet once. \`sum by (policy) (rate(mirrorplane_policy_packets_total[1m]))\`
  is the rate of matched packets.
- Bytes are those of copies without outer headers, so metrics along a path can be compared. The only exception has
  \`outer\` in its name.
- \`code\` is one of [codes.md](codes.md). \`reason\` and \`kind\` are the words of the API.
- An unknown value has no series. It is never 0.
- **Many sources**: each source has series of its own as long as there are at most 1,000 of them. With more, each policy
  is one series, whose labels \`source\` and \`direction\` are empty. Sums by policy stay what they are. The gauge
  \`mirrorplane_policy_sources_summed\` says that it is so.
- \`/metrics?sources=N\` asks for another bound, 0 to 10,000: 0 never names sources. \`/metrics?policy=NAME,NAME\` asks
  for some policies alone, for example for their sources in a job of its own.
- The text of 10,000 sources has about 20 MB. It is made in short turns, and sent as fast as it is read.

<!-- Made by: node packages/controller/src/metrics/reference.ts --write docs/reference/metrics.md -->

| metric | type | labels | meaning |
| --- | --- | --- | --- |
${rows.join('')}`;
}

if (import.meta.main) {
  const [option, file] = process.argv.slice(2);
  if (option !== '--write' || file === undefined) {
    process.stderr.write('usage: reference.ts --write FILE\n');
    process.exitCode = 2;
  } else {
    writeFileSync(file, metricsReference());
  }
}

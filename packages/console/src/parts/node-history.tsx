/** What a node copied, sent to other nodes, got from them, delivered and dropped, over time. */
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { History } from '../api/types.ts';
import { text } from '../text/index.ts';
import type { Series } from './chart.tsx';
import { dropsOf, HistoryCharts } from './history-charts.tsx';
import { HistorySection } from './history-section.tsx';

const t = text.history;

/** The four ways of a copy at a node. */
function waysOf({ series }: History, unit: 'Packets' | 'Bits'): Series[] {
  return [
    { label: t.copied, colour: '--calm', values: series[`copied${unit}`] ?? [] },
    { label: t.sent, colour: '--warn', values: series[`sent${unit}`] ?? [] },
    { label: t.arrived, colour: '--quiet', values: series[`arrived${unit}`] ?? [] },
    { label: t.delivered, colour: '--good', values: series[`delivered${unit}`] },
  ];
}

export function NodeHistory({ name }: { name: string }): ReactNode {
  return (
    <HistorySection
      of={['nodes', name]}
      how={t.howNode}
      read={(resolution, signal) => {
        const params = { path: { name }, query: { resolution } };
        return answer(api.GET('/api/v1/nodes/{name}/history', { params, signal }));
      }}
    >
      {(history) => (
        <HistoryCharts
          history={history}
          object={`node/${name}`}
          charts={[
            { title: t.chartCopies, unit: 'packets', series: waysOf(history, 'Packets') },
            { title: t.chartBits, unit: 'bits', series: waysOf(history, 'Bits') },
            ...(dropsOf(history).length > 0
              ? [{ title: t.chartDropped, unit: 'packets' as const, series: dropsOf(history) }]
              : []),
          ]}
        />
      )}
    </HistorySection>
  );
}

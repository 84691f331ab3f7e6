/**
 * How the traffic of a policy went: rates over time, with gaps where nothing is known, and events
 * marked on them.
 */
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import { dropsOf, HistoryCharts } from '../parts/history-charts.tsx';
import { HistorySection } from '../parts/history-section.tsx';
import { text } from '../text/index.ts';

const t = text.history;

export function PolicyHistory({ name }: { name: string }): ReactNode {
  return (
    <HistorySection
      of={[`policy:${name}`]}
      how={t.howPolicy}
      read={(resolution, signal) => {
        const params = { path: { name }, query: { resolution } };
        return answer(api.GET('/api/v1/policies/{name}/history', { params, signal }));
      }}
    >
      {(history) => {
        const { copiedPackets = [], copiedBits = [], deliveredPackets, lost = [] } = history.series;
        const copied = { label: t.copied, colour: '--calm' };
        return (
          <HistoryCharts
            history={history}
            object={`policy/${name}`}
            charts={[
              {
                title: t.chartCopied,
                unit: 'packets',
                series: [
                  { ...copied, values: copiedPackets },
                  { label: t.delivered, colour: '--good', values: deliveredPackets },
                ],
              },
              { title: t.chartBits, unit: 'bits', series: [{ ...copied, values: copiedBits }] },
              {
                title: t.chartLoss,
                unit: 'packets',
                series: [{ label: t.lost, colour: '--bad', values: lost }, ...dropsOf(history)],
              },
            ]}
          />
        );
      }}
    </HistorySection>
  );
}

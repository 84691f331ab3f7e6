/** What an interface gets as a destination, over time. */
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import { text } from '../text/index.ts';
import { HistoryCharts } from './history-charts.tsx';
import { HistorySection } from './history-section.tsx';

const t = text.history;

export function DestinationHistory({ id }: { id: string }): ReactNode {
  return (
    <HistorySection
      of={[`interface:${id}`]}
      how={t.howInterface}
      read={(resolution, signal) => {
        const params = { path: { id }, query: { resolution } };
        return answer(api.GET('/api/v1/interfaces/{id}/history', { params, signal }));
      }}
    >
      {(history) => {
        const { deliveredPackets, deliveredBits } = history.series;
        const delivered = { label: t.delivered, colour: '--good' };
        return (
          <HistoryCharts
            history={history}
            object={`interface/${id}`}
            charts={[
              { title: t.chartDelivered, unit: 'packets', series: [{ ...delivered, values: deliveredPackets }] },
              { title: t.chartBits, unit: 'bits', series: [{ ...delivered, values: deliveredBits }] },
            ]}
          />
        );
      }}
    </HistorySection>
  );
}

/** What an interface carries now. */
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import { bitRate, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Facts } from './facts.tsx';
import { Known, Unknown } from './marks.tsx';

const t = text.interfaces;
const EVERY_MS = 5000;

export function Traffic({ id }: { id: string }): ReactNode {
  const { data } = useQuery({
    queryKey: ['interface traffic', id],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/interfaces/{id}/traffic', { params: { path: { id } }, signal })),
    refetchInterval: EVERY_MS,
  });
  const traffic = data?.traffic;
  const rate = (way: 'inbound' | 'outbound') =>
    traffic ? (
      <span key="v">
        <Known value={traffic[way].bitsPerSecond} as={bitRate} />,{' '}
        <Known value={traffic[way].packetsPerSecond} as={packetRate} />
      </span>
    ) : (
      <Unknown key="v" />
    );
  return (
    <section className="panel" aria-labelledby="traffic">
      <h2 id="traffic">{t.traffic}</h2>
      <Facts
        facts={[
          [t.trafficIn, rate('inbound')],
          [t.trafficOut, rate('outbound')],
          [t.unread, <Known key="v" value={traffic?.unread} as={packetRate} />],
        ]}
      />
      {traffic && <p className="quiet">{t.trafficOver(traffic.seconds)}</p>}
    </section>
  );
}

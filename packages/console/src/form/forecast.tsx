/** What the policy would make of the traffic of the last minute: rates, uplinks, frames that are too large. */
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { Forecast, NodeForecast } from '../api/types.ts';
import classes from '../parts/event-list.module.css';
import { Facts } from '../parts/facts.tsx';
import { Data, Known } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { ScrollBox } from '../parts/scroll-box.tsx';
import { bitRate, percent } from '../text/format.ts';
import { text } from '../text/index.ts';
import { type Draft, specOf } from './draft.ts';

const t = text.form.forecast;

/** Milliseconds after the last change until the controller is asked, and between two questions. */
const TYPING_MS = 300;
const AGAIN_MS = 5000;
/** Nodes that are shown: those with most copies come first. */
const MOST_NODES = 20;

export function ForecastPanel({ draft }: { draft: Draft }): ReactNode {
  const [paused] = useDebouncedValue(draft, TYPING_MS);
  const { data, error } = useQuery({
    queryKey: ['forecast', paused],
    enabled: paused.sources.length > 0 && paused.destination !== '',
    queryFn: ({ signal }) => answer(api.POST('/api/v1/forecasts', { body: specOf(paused), signal })),
    placeholderData: keepPreviousData,
    refetchInterval: AGAIN_MS,
    retry: false,
    gcTime: 0,
  });
  return (
    <section className="panel" aria-labelledby="forecast">
      <h2 id="forecast">{t.title}</h2>
      <ProblemAlert error={error} />
      {data === undefined && !error && <p className="quiet">{t.reading}</p>}
      {data && <Rates forecast={data} />}
      {data && data.nodes.length > 0 && <Nodes nodes={data.nodes.slice(0, MOST_NODES)} />}
      {data && data.nodes.length > MOST_NODES && <p className="quiet">{t.more(data.nodes.length - MOST_NODES)}</p>}
    </section>
  );
}

function Rates({ forecast }: { forecast: Forecast }): ReactNode {
  const { seconds, sourceCount, unknownCount, unknown, originals, copies, givesWay } = forecast;
  const isKnown = seconds !== null;
  return (
    <>
      <p className="quiet">
        {isKnown ? t.base(sourceCount - unknownCount, sourceCount, seconds) : t.none(sourceCount)}
      </p>
      <Facts
        facts={[
          [t.originals, <Known key="v" value={isKnown ? originals.bitsPerSecond : null} as={bitRate} />],
          [t.copies, <Known key="v" value={isKnown ? copies.bitsPerSecond : null} as={bitRate} />],
          [t.givesWay, <Known key="v" value={givesWay} as={percent} />],
        ]}
      />
      {unknownCount > 0 && (
        <>
          <p>{t.unknownSources(unknownCount)}</p>
          <ul>
            {unknown.map((one) => (
              <li key={one.interface}>
                <Data>{one.interface}</Data>: {t.whyUnknown[one.why]}
              </li>
            ))}
            {unknownCount > unknown.length && <li>{t.more(unknownCount - unknown.length)}</li>}
          </ul>
        </>
      )}
    </>
  );
}

function Nodes({ nodes }: { nodes: readonly NodeForecast[] }): ReactNode {
  return (
    <ScrollBox label={t.byNode}>
      <table className={classes.events}>
        <thead>
          <tr>
            <th scope="col">{t.node}</th>
            <th scope="col">{t.copies}</th>
            <th scope="col">{t.uplink}</th>
            <th scope="col">{t.before}</th>
            <th scope="col">{t.after}</th>
            <th scope="col">{t.givesWay}</th>
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <NodeRow key={node.node} node={node} />
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

function NodeRow({
  node: { node, way, uplink, wireBitsPerSecond, givesWay, why, cut, dropped },
}: {
  node: NodeForecast;
}) {
  const share = (atMost: number | null) => (atMost === null ? t.unknownShare : percent(atMost));
  return (
    <tr>
      <td>
        <Data>{node}</Data>
      </td>
      <td>
        <Known value={wireBitsPerSecond} as={bitRate} />
      </td>
      {way === 'local' ? (
        <td colSpan={3}>{t.local}</td>
      ) : (
        <>
          <td>
            {uplink && <Data>{uplink.device}</Data>} <Known value={uplink?.bitsPerSecond} as={bitRate} />
          </td>
          <td>
            <Known value={uplink?.shareBefore} as={percent} />
          </td>
          <td>
            <Known value={uplink?.shareAfter} as={percent} />
          </td>
        </>
      )}
      <td>
        <Known value={givesWay} as={percent} />
        {why !== undefined && <div className="quiet">{t.why[why]}</div>}
        {cut && <div>{t.cut(share(cut.atMost), cut.above)}</div>}
        {dropped && <div>{t.dropped(share(dropped.atMost), dropped.above)}</div>}
      </td>
    </tr>
  );
}

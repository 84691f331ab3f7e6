/**
 * The way of the copies: the nodes and whether they have confirmed, and what each hop sent, got and
 * lost.
 */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import type { PolicyPath } from '../api/types.ts';
import classes from '../parts/event-list.module.css';
import { Data, Known, Mark, NodeMark, Unknown } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { ScrollBox } from '../parts/scroll-box.tsx';
import { bitRate, number, packetRate } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.policy;

export function Paths({ name }: { name: string }): ReactNode {
  const { data, error } = useQuery({
    queryKey: [`policy:${name}`, 'path'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/policies/{name}/path', { params: { path: { name } }, signal })),
  });
  return (
    <section className="panel" aria-labelledby="path">
      <h2 id="path">{t.path}</h2>
      <ProblemAlert error={error} />
      {data && (
        <>
          <Nodes nodes={data.nodes} />
          {data.hops.length > 0 && <Hops hops={data.hops} />}
          <Destination destination={data.destination} />
        </>
      )}
    </section>
  );
}

/** Which nodes have confirmed what they were sent, and how much of the policy each has. */
function Nodes({ nodes }: Pick<PolicyPath, 'nodes'>): ReactNode {
  if (nodes.length === 0) {
    return <p className="quiet">{t.pathNone}</p>;
  }
  return (
    <ul className={classes.nodes}>
      {nodes.map(({ name, state, sourceCount, capturingCount, isEnd }) => (
        <li key={name}>
          <NodeLink name={name} /> <NodeMark state={state} />
          <div className="quiet">
            {sourceCount > 0 && t.capturing(number(capturingCount), number(sourceCount))} {isEnd && t.isEnd}
          </div>
        </li>
      ))}
    </ul>
  );
}

function NodeLink({ name }: { name: string }): ReactNode {
  return (
    <Link to="/nodes/$name" params={{ name }} translate="no">
      {name}
    </Link>
  );
}

function Hops({ hops }: Pick<PolicyPath, 'hops'>): ReactNode {
  return (
    <ScrollBox label={t.hops}>
      <table className={classes.events}>
        <thead>
          <tr>
            <th scope="col">{t.from}</th>
            <th scope="col">{t.to}</th>
            <th scope="col">{t.rate}</th>
            <th scope="col">{t.sent}</th>
            <th scope="col">{t.received}</th>
            <th scope="col">{t.delivered}</th>
            <th scope="col">{t.relayed}</th>
            <th scope="col">{t.lost}</th>
          </tr>
        </thead>
        <tbody>
          {hops.map(({ from, to, sent, received, delivered, relayed, lost, rates }) => (
            <tr key={`${from} ${to}`}>
              <td>
                <NodeLink name={from} />
              </td>
              <td>
                <NodeLink name={to} />
              </td>
              <td>
                <Known value={rates.sent?.bitsPerSecond} as={bitRate} />
              </td>
              <td>
                <Known value={sent?.packets} as={number} />
              </td>
              <td>
                <Known value={received?.packets} as={number} />
              </td>
              <td>
                <Known value={delivered?.packets} as={number} />
              </td>
              <td>
                <Data>{relayed === undefined ? '' : number(relayed.packets)}</Data>
              </td>
              <td>{lost === null ? <Unknown /> : <Lost packets={lost} rate={rates.lost} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  );
}

/** How many were lost, and how fast more are. */
function Lost({ packets, rate }: { packets: number; rate: number | null }): ReactNode {
  return (
    <Mark tone={packets > 0 ? 'bad' : 'good'} sign={packets > 0 ? '▼' : '✓'}>
      <Data>{number(packets)}</Data> {rate !== null && rate > 0 && <Data>({packetRate(rate)})</Data>}
    </Mark>
  );
}

function Destination({ destination }: Pick<PolicyPath, 'destination'>): ReactNode {
  const { id, node, device, delivered, rate } = destination;
  return (
    <p>
      {t.atDestination}{' '}
      <Link to="/interfaces/$id" params={{ id }} translate="no">
        {id}
      </Link>{' '}
      <span className="quiet" translate="no">
        {[device, node].filter(Boolean).join(', ')}
      </span>{' '}
      <strong>
        <Known value={delivered?.packets} as={number} />
      </strong>{' '}
      (<Known value={rate?.bitsPerSecond} as={bitRate} />)
    </p>
  );
}

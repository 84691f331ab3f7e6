/** The way of the copies, node by node: what was sent, what arrived, what was lost on each hop. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { PolicyStatus } from '../api/types.ts';
import classes from '../parts/event-list.module.css';
import { Data, Known, Mark, Unknown } from '../parts/marks.tsx';
import { number } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.policy;

function NodeLink({ name }: { name: string }): ReactNode {
  return (
    <Link to="/nodes/$name" params={{ name }} translate="no">
      {name}
    </Link>
  );
}

export function Paths({ status }: { status: PolicyStatus }): ReactNode {
  const { paths, destination, delivered, state } = status;
  const none = state === 'active' || state === 'degraded' ? t.pathLocal : t.pathNone;
  return (
    <section className="panel" aria-labelledby="path">
      <h2 id="path">{t.path}</h2>
      {paths.length === 0 ? <p className="quiet">{none}</p> : <Hops paths={paths} />}
      <p>
        {t.atDestination('')} <Data>{destination.interface}</Data>{' '}
        {destination.devices.map(({ node, name }) => (
          <span key={node} className="quiet">
            (<Data>{`${name}, ${node}`}</Data>){' '}
          </span>
        ))}
        : <Known value={delivered?.packets} as={number} />
      </p>
    </section>
  );
}

function Hops({ paths }: Pick<PolicyStatus, 'paths'>): ReactNode {
  return (
    <table className={classes.events}>
      <thead>
        <tr>
          <th scope="col">{t.from}</th>
          <th scope="col">{t.to}</th>
          <th scope="col">{t.sent}</th>
          <th scope="col">{t.received}</th>
          <th scope="col">{t.delivered}</th>
          <th scope="col">{t.relayed}</th>
          <th scope="col">{t.lost}</th>
        </tr>
      </thead>
      <tbody>
        {paths.map(({ from, to, sent, received, delivered, relayed, lost }) => (
          <tr key={`${from} ${to}`}>
            <td>
              <NodeLink name={from} />
            </td>
            <td>
              <NodeLink name={to} />
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
            <td>{lost === null ? <Unknown /> : <Lost packets={lost} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Lost({ packets }: { packets: number }): ReactNode {
  return (
    <Mark tone={packets > 0 ? 'bad' : 'good'} sign={packets > 0 ? '▼' : '✓'}>
      <Data>{number(packets)}</Data>
    </Mark>
  );
}

/**
 * What became of every packet that the captures of a policy saw. It adds up, or says by how much it
 * does not.
 */
import type { ReactNode } from 'react';
import type { CaptureCounts, Count } from '../api/types.ts';
import classes from '../parts/event-list.module.css';
import { Mark } from '../parts/marks.tsx';
import { byteAmount, number } from '../text/format.ts';
import { text } from '../text/index.ts';
import band from './books.module.css';

const t = text.policy;

interface Part {
  label: string;
  count: Count;
  tone: string;
}

/** The parts of `matched`, in the order in which a packet meets them. */
function partsOf({ sampledOut, copied, dropped }: CaptureCounts): Part[] {
  const drops = Object.entries(dropped).filter(([, count]) => (count?.packets ?? 0) > 0);
  return [
    { label: t.sampledOut, count: sampledOut, tone: 'quiet' },
    { label: t.copied, count: copied, tone: 'good' },
    ...drops.map(([reason, count]) => ({ label: t.dropped(reason), count: count!, tone: 'bad' })),
  ];
}

function share(count: Count, of: Count): string {
  return of.packets === 0 ? '' : `${((100 * count.packets) / of.packets).toFixed(2)} %`;
}

export function Books({ totals }: { totals: CaptureCounts }): ReactNode {
  const { matched, truncated } = totals;
  const parts = partsOf(totals);
  const off = matched.packets - parts.reduce((sum, { count }) => sum + count.packets, 0);
  return (
    <section className="panel" aria-labelledby="books">
      <div className="bar">
        <h2 id="books">{t.books}</h2>
        <Mark tone={off === 0 ? 'good' : 'warn'} sign={off === 0 ? '✓' : '▲'}>
          {off === 0 ? t.balanced : t.unbalanced(number(off))}
        </Mark>
      </div>
      <div className={band.band} aria-hidden="true">
        {parts.map(({ label, count, tone }) => (
          <span key={label} data-tone={tone} style={{ flexGrow: count.packets }} />
        ))}
      </div>
      <table className={classes.events}>
        <caption className="hidden-text">{t.booksHow}</caption>
        <thead>
          <tr>
            <td />
            <th scope="col">{t.packets}</th>
            <th scope="col">{t.share}</th>
            <th scope="col">{t.bytes}</th>
          </tr>
        </thead>
        <tbody>
          <Line label={t.matched} count={matched} />
          {parts.map((part) => (
            <Line key={part.label} {...part} share={share(part.count, matched)} />
          ))}
          {truncated.packets > 0 && <Line label={t.truncated} count={truncated} share={share(truncated, matched)} />}
        </tbody>
      </table>
    </section>
  );
}

function Line(props: { label: string; count: Count; tone?: string; share?: string }): ReactNode {
  const { label, count, tone, share: part = '' } = props;
  return (
    <tr>
      <th scope="row">
        {tone !== undefined && <span className={band.key} data-tone={tone} aria-hidden="true" />} {label}
      </th>
      <td className="number" translate="no">
        {number(count.packets)}
      </td>
      <td className="number" translate="no">
        {part}
      </td>
      <td className="number" translate="no">
        {byteAmount(count.bytes)}
      </td>
    </tr>
  );
}

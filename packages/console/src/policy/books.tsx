/**
 * What became of every packet that the captures of a policy saw, and of every copy that was sent to
 * another node. It adds up, or says by how much it does not. Each part leads to its packets.
 */
import type { ReactNode } from 'react';
import type { CaptureCounts, Count, PolicyStatus } from '../api/types.ts';
import classes from '../parts/event-list.module.css';
import { FateLink } from '../parts/fate-link.tsx';
import { Mark, Unknown } from '../parts/marks.tsx';
import { byteAmount, number } from '../text/format.ts';
import { text } from '../text/index.ts';
import band from './books.module.css';
import { copiesOf, type Part, partsOf } from './parts-of-books.ts';

const t = text.policy;

export function Books({ policy, totals }: { policy: string; totals: CaptureCounts }): ReactNode {
  const { matched, truncated } = totals;
  const parts = partsOf(totals);
  const off = matched.packets - parts.reduce((sum, { packets }) => sum + packets, 0);
  return (
    <section className="panel" aria-labelledby="books">
      <div className="bar">
        <h2 id="books">{t.books}</h2>
        <Mark tone={off === 0 ? 'good' : 'warn'} sign={off === 0 ? '✓' : '▲'}>
          {off === 0 ? t.balanced : t.unbalanced(number(off))}
        </Mark>
      </div>
      <Band policy={policy} parts={parts} />
      <table className={classes.events}>
        <caption className="hidden-text">{t.booksHow}</caption>
        <Head share={t.share} bytes />
        <tbody>
          <Line label={t.matched} packets={matched.packets} bytes={matched.bytes} />
          {parts.map((part) => (
            <Line key={part.label} policy={policy} {...part} of={matched.packets} />
          ))}
          {truncated.packets > 0 && (
            <Line label={t.truncated} packets={truncated.packets} bytes={truncated.bytes} of={matched.packets} />
          )}
        </tbody>
      </table>
    </section>
  );
}

/** What became of the copies that one node sent to another. Nothing where none is sent so. */
export function CopyBooks({ policy, paths }: { policy: string; paths: PolicyStatus['paths'] }): ReactNode {
  if (paths.length === 0) {
    return null;
  }
  const { sent, parts } = copiesOf(paths);
  return (
    <section className="panel" aria-labelledby="copy-books">
      <h2 id="copy-books">{t.copyBooks}</h2>
      <Band policy={policy} parts={parts} />
      <table className={classes.events}>
        <caption className="hidden-text">{t.copyBooksHow}</caption>
        <Head share={t.shareOfSent} />
        <tbody>
          <Line label={t.sent} packets={sent} />
          {parts.map((part) => (
            <Line key={part.label} policy={policy} {...part} of={sent} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The parts side by side, as wide as they are large. */
function Band({ policy, parts }: { policy: string; parts: readonly Part[] }): ReactNode {
  return (
    <div className={band.band} aria-hidden="true">
      {parts.map(({ label, packets, tone, fates }) => (
        <span key={label} data-tone={tone} style={{ flexGrow: packets }}>
          {fates !== undefined && packets > 0 && (
            <FateLink policy={policy} fates={fates} className={band.part} isTwin>
              {' '}
            </FateLink>
          )}
        </span>
      ))}
    </div>
  );
}

function Head({ share, bytes = false }: { share: string; bytes?: boolean }): ReactNode {
  return (
    <thead>
      <tr>
        <td />
        <th scope="col">{t.packets}</th>
        <th scope="col">{share}</th>
        {bytes && <th scope="col">{t.bytes}</th>}
      </tr>
    </thead>
  );
}

interface LineProps extends Partial<Omit<Part, 'packets'>> {
  label: string;
  /** Null: not known. */
  packets: number | null;
  bytes?: Count['bytes'];
  /** Packets that the share is of. */
  of?: number | null;
  policy?: string;
}

function Line({ label, packets, bytes, tone, of, policy, fates }: LineProps): ReactNode {
  const isLink = policy !== undefined && fates !== undefined && packets !== 0;
  return (
    <tr>
      <th scope="row">
        {tone !== undefined && <span className={band.key} data-tone={tone} aria-hidden="true" />}{' '}
        {isLink ? (
          <FateLink policy={policy} fates={fates}>
            {label}
          </FateLink>
        ) : (
          label
        )}
      </th>
      <td className="number" translate="no">
        {packets === null ? <Unknown /> : number(packets)}
      </td>
      <td className="number" translate="no">
        {of && packets !== null ? `${((100 * packets) / of).toFixed(2)} %` : ''}
      </td>
      {bytes !== undefined && (
        <td className="number" translate="no">
          {byteAmount(bytes)}
        </td>
      )}
    </tr>
  );
}

/** What an entry of the audit log says of a change: each field before and after, and details. */
import type { ReactNode } from 'react';
import type { AuditEntry } from '../api/types.ts';
import { text } from '../text/index.ts';
import { Data, Said } from './marks.tsx';

const t = text.audit;

export function AuditChanges({ before, after, detail }: AuditEntry): ReactNode {
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return (
    <>
      {fields.map((field) => (
        <div key={field}>
          <span className="quiet">
            <Data>{field}: </Data>
          </span>
          {before && field in before && <Data>{shown(before[field])}</Data>}
          {before && field in before && after && field in after && ' → '}
          {after && field in after && <Data>{shown(after[field])}</Data>}
        </div>
      ))}
      {detail !== undefined && (
        <div>
          <Said>{detail}</Said>
        </div>
      )}
    </>
  );
}

/** A value as text. A list is its length, and the names of what it has lost or got. */
function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null || !('count' in value)) {
    return typeof value === 'string' ? value : JSON.stringify(value);
  }
  const {
    count,
    added,
    removed,
    names = [],
  } = value as {
    count: number;
    added?: number;
    removed?: number;
    names?: string[];
  };
  const more = (added ?? removed ?? count) - names.length;
  const list = [...names, ...(more > 0 ? [t.moreNames(more)] : [])].join(', ');
  const sign = added === undefined ? (removed === undefined ? '' : '−') : '+';
  return list === '' ? String(count) : `${count} (${sign}${list})`;
}

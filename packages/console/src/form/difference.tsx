/** What a change of a policy changes, field by field. */
import type { ReactNode } from 'react';
import classes from '../parts/event-list.module.css';
import { Data } from '../parts/marks.tsx';
import { text } from '../text/index.ts';
import { changedFields, type Draft, type Field } from './draft.ts';

const t = text.form;
/** Sources that are named; the others are counted. */
const NAMED = 10;

function named(ids: readonly string[], more: (count: number) => string): ReactNode {
  return ids.length > NAMED ? (
    <>
      <Data>{ids.slice(0, NAMED).join(', ')}</Data> … {more(ids.length)}
    </>
  ) : (
    <Data>{ids.join(', ')}</Data>
  );
}

/** A field as it is shown; of sources, what the other draft has not. */
function shown(field: Field, of: Draft, other: Draft): ReactNode {
  const value = of[field];
  if (field === 'sources') {
    return named(
      of.sources.filter((id) => !other.sources.includes(id)),
      t.added,
    );
  }
  if (typeof value === 'boolean') {
    return value ? text.common.yes : text.common.no;
  }
  return value === '' ? <span className="quiet">{text.common.none}</span> : <Data>{String(value)}</Data>;
}

/** A table of the fields in which the drafts differ; columns as they are named. */
export function Difference(props: {
  drafts: readonly [label: string, draft: Draft][];
  fields: readonly Field[];
}): ReactNode {
  const { drafts, fields } = props;
  return (
    <table className={classes.events}>
      <thead>
        <tr>
          <th scope="col">{t.field}</th>
          {drafts.map(([label]) => (
            <th key={label} scope="col">
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {fields.map((field) => (
          <tr key={field}>
            <th scope="row">{t.fields[field]}</th>
            {drafts.map(([label, draft], at) => (
              <td key={label}>{shown(field, draft, drafts[at === 0 ? drafts.length - 1 : 0]![1])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What a draft changes of what there is; for a new policy, all that is not a default. */
export function Changes({ before, after }: { before: Draft; after: Draft }): ReactNode {
  const fields = changedFields(before, after);
  if (fields.length === 0) {
    return <p>{t.noDifference}</p>;
  }
  return (
    <Difference
      drafts={[
        [t.now, before],
        [t.after, after],
      ]}
      fields={fields}
    />
  );
}

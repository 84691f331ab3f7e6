/**
 * Another person has changed the policy meanwhile: what they changed, and what was typed, side by
 * side.
 */
import { Alert, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';
import type { Base } from './checks.ts';
import { Difference } from './difference.tsx';
import { changedFields, type Draft, draftOf, rebase } from './draft.ts';

const t = text.form;

export function Conflict(props: { draft: Draft; base: Base; onResolved(draft: Draft, base: Base): void }): ReactNode {
  const { draft, base, onResolved } = props;
  const { name } = base.draft;
  const { data, error } = useQuery({
    queryKey: [`policy:${name}`, 'conflict', base.revision],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/policies/{name}', { params: { path: { name } }, signal })),
    staleTime: 0,
    retry: false,
  });
  if (data === undefined) {
    return (
      <>
        <h1>{t.edit(name)}</h1>
        {error ? <ProblemAlert error={error} /> : <p>{text.common.loading}</p>}
        <Link to="/policies">{t.leave}</Link>
      </>
    );
  }
  const theirs = draftOf(data);
  const next: Base = { draft: theirs, revision: data.revision };
  return (
    <>
      <h1>{t.edit(name)}</h1>
      <Alert color="yellow" title={t.conflict} role="alert">
        <p>{t.conflictHow}</p>
        <Difference
          drafts={[
            [t.before, base.draft],
            [t.theirs, theirs],
            [t.mine, draft],
          ]}
          fields={changedFields(base.draft, theirs)}
        />
      </Alert>
      <div className="bar">
        <Button onClick={() => onResolved(rebase(base.draft, draft, theirs), next)}>{t.keepMine}</Button>
        <Button variant="default" onClick={() => onResolved(theirs, next)}>
          {t.takeTheirs}
        </Button>
      </div>
    </>
  );
}

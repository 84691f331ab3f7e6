/** The page that changes a policy. */
import { useParams } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useLack } from '../data/rights.ts';
import { RefusedPage } from '../parts/allowed.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';
import { draftOf } from './draft.ts';
import { usePolicyOnce } from './new-policy.tsx';
import { PolicyForm } from './policy-form.tsx';

export function EditPolicyPage(): ReactNode {
  const { name } = useParams({ from: '/policies/$name/edit' });
  const lack = useLack('policy', `policy/${name}`);
  const { data, error } = usePolicyOnce(lack === undefined ? name : undefined);
  if (lack !== undefined) {
    return <RefusedPage title={text.form.edit(name)} why={lack} />;
  }
  if (data === undefined) {
    return error ? <ProblemAlert error={error} /> : <p>{text.common.loading}</p>;
  }
  const draft = draftOf(data);
  return (
    <PolicyForm key={name} title={text.form.edit(name)} initial={draft} base={{ draft, revision: data.revision }} />
  );
}

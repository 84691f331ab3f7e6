/** The page that creates a policy, from nothing or as a clone of another one. */
import { useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { answer, api } from '../api/client.ts';
import { useLack } from '../data/rights.ts';
import { RefusedPage } from '../parts/allowed.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';
import { draftOf, EMPTY } from './draft.ts';
import { PolicyForm } from './policy-form.tsx';

/**
 * The policy of a page that begins with it; read once, since a form does not change under the
 * hands.
 */
export function usePolicyOnce(name: string | undefined) {
  return useQuery({
    queryKey: ['policy for a form', name],
    enabled: name !== undefined,
    queryFn: ({ signal }) => {
      const path = { name: name! };
      return answer(api.GET('/api/v1/policies/{name}', { params: { path }, signal }));
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
}

export function NewPolicyPage(): ReactNode {
  const { clone } = useSearch({ from: '/new-policy' });
  const lack = useLack('policy');
  const { data, error } = usePolicyOnce(clone);
  if (lack !== undefined) {
    return <RefusedPage title={text.form.create} why={lack} />;
  }
  if (clone === undefined) {
    return <PolicyForm key="new" title={text.form.create} initial={EMPTY} />;
  }
  if (data === undefined) {
    return error ? <ProblemAlert error={error} /> : <p>{text.common.loading}</p>;
  }
  // Its sources stay with it: an interface is the source of at most one policy.
  const initial = { ...draftOf(data), name: '', sources: [] };
  return <PolicyForm key={clone} title={text.form.clone(clone)} initial={initial} />;
}

/**
 * What is wrong with a policy as it is typed: shape at once, by the controller's own rules, and the
 * rest by a dry run.
 */

import { useDebouncedValue } from '@mantine/hooks';
import { refusalsAsTyped } from '@mirrorplane/planner';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { answer, api, ProblemError } from '../api/client.ts';
import type { Policy, Refusal } from '../api/types.ts';
import { type Draft, type Field, fieldOf, specOf } from './draft.ts';

/** Milliseconds after the last change until the controller is asked. */
const TYPING_MS = 300;

/** What a policy was when it was read. */
export interface Base {
  draft: Draft;
  revision: number;
}

/** What is known of the draft. */
export interface Checks {
  refusals: Pick<Refusal, 'field' | 'message'>[];
  warnings: string[];
  /** The controller has not been asked about this draft yet, or has not answered. */
  isPending: boolean;
  /** Another person has changed or deleted the policy. */
  isConflict: boolean;
  /** The dry run itself failed. */
  error: Error | null;
}

/** Saves a draft, or only asks what would come of it. @throws ProblemError */
export function save(draft: Draft, base: Base | undefined, dryRun: boolean, signal?: AbortSignal): Promise<Policy> {
  const body = specOf(draft);
  const query = dryRun ? ({ dryRun: 'true' } as const) : {};
  if (base === undefined) {
    return answer(api.POST('/api/v1/policies', { params: { query }, body, ...(signal && { signal }) }));
  }
  const params = { path: { name: draft.name }, query, header: { 'If-Match': `"${base.revision}"` } };
  return answer(api.PUT('/api/v1/policies/{name}', { params, body, ...(signal && { signal }) }));
}

/** True where a change met the change of another person. */
export function isConflict(error: Error | null): boolean {
  return error instanceof ProblemError && ['PRECONDITION_FAILED', 'NOT_FOUND'].includes(error.problem.code);
}

/** The refusals of a problem, each with its field. */
export function refusalsOf(error: Error | null): Checks['refusals'] {
  if (!(error instanceof ProblemError) || isConflict(error)) {
    return [];
  }
  const { code, detail, errors = [] } = error.problem;
  if (code === 'ALREADY_EXISTS') {
    return [{ field: 'name', message: detail }];
  }
  return errors;
}

/** Checks a draft. A question that is overtaken by typing is given up. */
export function useChecks(draft: Draft, base: Base | undefined): Checks {
  const [paused] = useDebouncedValue(draft, TYPING_MS);
  const canAsk = draft.sources.length > 0 && draft.destination !== '';
  const local = refusalsAsTyped(specOf(draft) as never);
  const { data, error, isFetching } = useQuery({
    queryKey: ['dry run', base?.revision, paused],
    enabled: canAsk,
    queryFn: ({ signal }) => save(paused, base, true, signal),
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 0,
    staleTime: 0,
  });
  const isPending = canAsk && (paused !== draft || isFetching);
  const isCurrent = canAsk && !isPending;
  const said = isCurrent ? refusalsOf(error) : [];
  return {
    refusals: isCurrent && said.length > 0 ? said : local,
    warnings: isCurrent && !error ? (data?.warnings ?? []).map(({ message }) => message) : [],
    isPending,
    isConflict: isCurrent && isConflict(error),
    error: isCurrent && error && said.length === 0 && !isConflict(error) ? error : null,
  };
}

/** The refusals of a field as one text; undefined: there is none. */
export function messageOf({ refusals }: Checks, field: Field): string | undefined {
  const found = refusals.filter((refusal) => fieldOf(refusal.field) === field);
  return found.length === 0 ? undefined : found.map(({ message }) => message).join('; ');
}

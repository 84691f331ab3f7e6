/** What waits for consent. */
import { useQuery } from '@tanstack/react-query';
import { answer, api } from '../api/client.ts';

/** How often it is read again in any case: events of others are not told to who has a scope. */
const EVERY_MS = 10_000;

/** @param policy Left out: of all policies */
export function useApprovals(policy?: string) {
  const query = policy === undefined ? {} : { policy };
  return useQuery({
    // Each request, consent and refusal is an event: it is read again with the events.
    queryKey: ['events', 'approvals', policy],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/approvals', { params: { query }, signal })),
    refetchInterval: EVERY_MS,
  });
}

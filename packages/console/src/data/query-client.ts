/** What was read from the controller, kept while it is shown. */
import { QueryClient } from '@tanstack/react-query';
import { NoAnswerError } from '../api/client.ts';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The stream tells what changes; a page that comes back asks again.
      staleTime: 2_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => error instanceof NoAnswerError && count < 5,
      retryDelay: (count) => Math.min(500 * 2 ** count, 5_000),
    },
    mutations: { retry: false },
  },
});

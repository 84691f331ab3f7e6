/** Routes that openapi.json does not have yet. What is here moves to `api` when it has. */
import { api } from './client.ts';

interface Pending {
  // biome-ignore lint/suspicious/noExplicitAny: there is no type of the answer yet
  GET(path: string, options: object): Promise<{ data?: any; error?: unknown; response: Response }>;
}

export const pending = api as unknown as Pending;

/** Requests to the API and their answers. */
import type { Route } from '@mirrorplane/controller/testing/control';

export interface Request {
  method: Route['method'];
  /** As the route declares it. */
  path: string;
  params: Record<string, string>;
  body?: unknown;
  query?: Record<string, string>;
}

/** An answer of the API, for those who check it. */
export interface Answer {
  request: Request;
  /** Virtual time at which it was asked. */
  askedAt: number;
  status: number;
  body: unknown;
}

/** Whether an error is that of a controller that does not lead, or stops, or whose store does not answer. */
export function isOfStore(error: unknown): boolean {
  return /^(StoreLostError|StoreUnavailableError)|the store is closed|cannot open the store in etcd|required revision has been compacted/.test(
    String(error),
  );
}

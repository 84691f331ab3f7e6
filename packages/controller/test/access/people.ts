/** People of tests, with grants. */
import type { Grant } from '@mirrorplane/contract';
import type { Bench, Reply } from '../harness.ts';
import { SseReader } from '../sse.ts';

/** Sends a request in the name of somebody. */
export interface Person {
  (method: string, url: string, body?: unknown): Promise<Reply>;
  /** Opens a stream of server-sent events. */
  stream(url: string): Promise<SseReader>;
}

/** Who has this token. */
export function personOf(bench: Bench, token: string): Person {
  const send = (method: string, url: string, body?: unknown) => bench.request(method, url, body, { token });
  const stream = (url: string) =>
    SseReader.open(`http://${bench.controller.addresses[0]}${url}`, { authorization: `Bearer ${token}` });
  return Object.assign(send, { stream });
}

/** People with an API token each, and with these grants. */
export async function peopleOf<K extends string>(bench: Bench, grants: Record<K, Grant[]>): Promise<Record<K, Person>> {
  const people: [string, Person][] = [];
  for (const [name, held] of Object.entries<Grant[]>(grants)) {
    const body = { name: `of-${name}`, grants: held, expiresAt: 'never' };
    people.push([name, personOf(bench, (await bench.must('POST', '/api/v1/tokens', body)).token)]);
  }
  return Object.fromEntries(people) as Record<K, Person>;
}

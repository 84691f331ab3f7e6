/** People of tests, with grants. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Grant } from '@mirrorplane/contract';
import { newSecret, sha256 } from '../../src/auth/api-tokens.ts';
import { csrfOf } from '../../src/auth/sessions.ts';
import { CSRF_HEADER } from '../../src/http/who.ts';
import type { Bench, Reply } from '../harness.ts';
import { SseReader } from '../sse.ts';

/** Sends a request in the name of somebody. */
export interface Person {
  (method: string, url: string, body?: unknown): Promise<Reply>;
  /** Opens a stream of server-sent events. */
  stream(url: string): Promise<SseReader>;
}

/** Makes people with these grants. Restarts the controller. */
export async function peopleOf<K extends string>(bench: Bench, grants: Record<K, Grant[]>): Promise<Record<K, Person>> {
  const now = Date.now();
  const all = Object.entries<Grant[]>(grants).map(([name, held]) => ({ name, held, secret: newSecret() }));
  const kept = all.map(({ name, held, secret }) => {
    return { id: sha256(secret), name, grants: held, token: sha256(bench.token), createdAt: now, usedAt: now };
  });
  await bench.controller.close();
  writeFileSync(path.join(bench.data, 'sessions.json'), JSON.stringify(kept));
  await bench.restart();
  const people = all.map(({ name, secret }): [string, Person] => {
    const headers = () => ({
      cookie: `mirrorplane_session=${secret}`,
      origin: `http://${bench.controller.addresses[0]}`,
      [CSRF_HEADER]: csrfOf(secret),
    });
    const send = (method: string, url: string, body?: unknown) =>
      bench.request(method, url, body, { token: undefined, headers: headers() });
    const stream = (url: string) => SseReader.open(`http://${bench.controller.addresses[0]}${url}`, headers());
    return [name, Object.assign(send, { stream })];
  });
  return Object.fromEntries(people) as Record<K, Person>;
}

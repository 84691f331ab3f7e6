/** Clients of the API that create, change, delete and read resources at the same time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../chaos/random.ts';
import type { Outcome, Request, Value } from './checker/operation.ts';
import { type HttpRequest, now, type Recorder } from './recorder.ts';
import type { Resource } from './resources.ts';
import type { ControllerHost } from './world/controller.ts';

/** Milliseconds before a client asks again when nobody listens. */
const NOBODY_MS = 50;
/** Milliseconds between two reads that do not wait for each other. */
const READ_MS = 100;
/** The longest pause of a client between two requests, milliseconds. */
const PAUSE_MS = 80;

export interface ClientParts {
  name: string;
  random: Random;
  recorder: Recorder;
  resources: readonly Resource[];
  /** The controller to ask. */
  controller(): ControllerHost;
  isStopped(): boolean;
}

/** Asks until it is stopped. A request follows the answer to the one before. */
export async function runClient({
  name,
  random,
  recorder,
  resources,
  controller,
  isStopped,
}: ClientParts): Promise<void> {
  /** The last revision of each resource that this client has seen. */
  const seen = new Map<string, number>();
  for (let number = 1; !isStopped(); number++) {
    const resource = random.pick(resources);
    const key = `${resource.folder}/${resource.name}`;
    const { request, http } = draw(resource, `${name}.${number}`, seen.get(key), random);
    const outcome = await recorder.ask(controller(), { client: name, key, request, http }, resource.valueIn);
    note(seen, key, outcome);
    await sleep(outcome === undefined ? NOBODY_MS : random.int(PAUSE_MS));
  }
}

function note(seen: Map<string, number>, key: string, outcome: Outcome | undefined): void {
  if (outcome?.kind === 'found' || outcome?.kind === 'written') {
    seen.set(key, outcome.revision);
  } else if (outcome?.kind !== 'unknown' && outcome !== undefined) {
    seen.delete(key);
  }
}

/** The next request. @param known revision that the client believes the resource to have */
function draw(resource: Resource, token: string, known: number | undefined, random: Random) {
  const { folder, name, isPolicy } = resource;
  const url = `/api/v1/${folder}/${name}`;
  const match = known !== undefined && random.chance(0.8) ? known : undefined;
  const headers: Record<string, string> = match === undefined ? {} : { 'if-match': `"${match}"` };
  const enabled = random.chance(0.5);
  const kind = random.weighted(['read', 'put', 'delete', 'part', 'toggle', 'create'] as const, (one) =>
    one === 'read' ? 4 : one === 'delete' ? 1 : isPolicy || one === 'put' ? 2 : 0,
  );
  const value: Value = isPolicy ? { token, enabled } : { token };
  switch (kind) {
    case 'read':
      return asked({ kind }, { method: 'GET', url });
    case 'create': {
      const body = { name, ...resource.body(token, enabled) };
      return asked({ kind, value }, { method: 'POST', url: `/api/v1/${folder}`, body });
    }
    case 'put':
      return asked({ kind, value, match }, { method: 'PUT', url, body: resource.body(token, enabled), headers });
    case 'part':
      return asked(
        { kind: 'patch', change: { token }, match },
        { method: 'PATCH', url, body: resource.part(token), headers },
      );
    case 'toggle':
      return asked({ kind: 'patch', change: { enabled }, match }, { method: 'PATCH', url, body: { enabled }, headers });
    case 'delete':
      return asked({ kind, match }, { method: 'DELETE', url, headers });
  }
}

function asked(request: Request, http: HttpRequest): { request: Request; http: HttpRequest } {
  return { request, http };
}

/** Reads all resources of one kind at once, again and again. */
export async function runLister({
  name,
  random,
  recorder,
  resources,
  controller,
  isStopped,
}: ClientParts): Promise<void> {
  const byKey = new Map(resources.map((resource) => [`${resource.folder}/${resource.name}`, resource]));
  while (!isStopped()) {
    const folder = random.pick(['policies', 'policies', 'pools']);
    const invoked = now();
    const reply = await controller()
      .call('GET', `/api/v1/${folder}`)
      .catch(() => undefined);
    if (reply?.status === 200) {
      const items = (reply.body.items as { name: string; revision: number }[]).flatMap((item) => {
        const resource = byKey.get(`${folder}/${item.name}`);
        return resource ? [[item.name, { revision: item.revision, value: resource.valueIn(item) }] as const] : [];
      });
      recorder.lists.push({ client: name, folder, invoked, returned: now(), items: new Map(items) });
    }
    await sleep(reply === undefined ? NOBODY_MS : 2 * random.int(PAUSE_MS));
  }
}

/** Makes join tokens, revokes some of them, and lists them. */
export async function runTokenMaker({ name, random, recorder, controller, isStopped }: ClientParts): Promise<void> {
  const mine: string[] = [];
  const valueIn = (id: string) => ({ id });
  while (!isStopped()) {
    const invoked = now();
    const ask = (method: string, url: string, body?: unknown) =>
      controller()
        .call(method, `/api/v1/${url}`, body)
        .catch(() => undefined);
    const kind = random.weighted(['make', 'revoke', 'list'] as const, (one) => (one === 'list' ? 4 : 1));
    if (kind === 'make') {
      const reply = await ask('POST', 'nodes/node-1/token');
      if (reply?.status === 201) {
        const { id } = reply.body as { id: string };
        mine.push(id);
        const outcome = { kind: 'written', revision: 1, value: valueIn(id) } as const;
        const request = { kind: 'create', value: valueIn(id) } as const;
        recorder.operations.push({ client: name, key: `tokens/${id}`, invoked, returned: now(), request, outcome });
      }
    } else if (kind === 'revoke' && mine.length > 3) {
      const id = mine.splice(random.int(mine.length), 1)[0]!;
      const reply = await ask('DELETE', `join-tokens/${id}`);
      const answered = reply !== undefined && reply.status < 500;
      const outcome = { kind: !answered ? 'unknown' : reply.status === 204 ? 'deleted' : 'absent' } as const;
      const returned = answered ? now() : Number.POSITIVE_INFINITY;
      const request = { kind: 'delete' } as const;
      recorder.operations.push({ client: name, key: `tokens/${id}`, invoked, returned, request, outcome });
    } else {
      const reply = await ask('GET', 'join-tokens');
      if (reply?.status === 200) {
        const items = (reply.body.items as { id: string }[]).map(
          ({ id }) => [id, { revision: 1, value: valueIn(id) }] as const,
        );
        recorder.lists.push({ client: name, folder: 'tokens', invoked, returned: now(), items: new Map(items) });
      }
    }
    await sleep(200 + random.int(PAUSE_MS));
  }
}

/**
 * Reads by one controller, without waiting for the answer to the read before. So there are reads
 * that were asked for while the controller could not answer, and that it answers later.
 */
export async function runReader({
  name,
  random,
  recorder,
  resources,
  controller,
  isStopped,
}: ClientParts): Promise<void> {
  const reading = new Set<Promise<unknown>>();
  for (let number = 1; !isStopped(); number++) {
    const resource = random.pick(resources);
    const key = `${resource.folder}/${resource.name}`;
    const ask = {
      // No order between two of them is expected.
      client: `${name}.${number}`,
      key,
      request: { kind: 'read' } as const,
      http: { method: 'GET', url: `/api/v1/${key}` },
    };
    const one = recorder.ask(controller(), ask, resource.valueIn).finally(() => reading.delete(one));
    reading.add(one);
    await sleep(READ_MS + random.int(READ_MS));
  }
  await Promise.all(reading);
}

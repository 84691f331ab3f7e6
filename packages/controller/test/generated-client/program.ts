/**
 * A client program with types generated from openapi.json. The test copies it into a folder with
 * these types, checks it there, and runs it. The types must refuse each line after
 * `@ts-expect-error`.
 */
import createClient from 'openapi-fetch';
import type { components, paths } from './api.d.ts';

const client = createClient<paths>({
  baseUrl: process.env.URL!,
  headers: { authorization: `Bearer ${process.env.TOKEN}` },
});
const said: Record<string, unknown> = {};

const byName = { params: { path: { name: 'ids-web' } } };
const byId = (id: string) => ({ params: { path: { id } } });

await client.PUT('/api/v1/domains/{name}', { params: { path: { name: 'dc-1' } }, body: {} });
await client.PUT('/api/v1/pools/{name}', { params: { path: { name: 'pool-a' } }, body: { domain: 'dc-1' } });
for (const id of ['web-1/0', 'web-2/0', 'ids-1/0']) {
  await client.PUT('/api/v1/interfaces/{id}', { ...byId(id), body: { kind: 'vm', pool: 'pool-a' } });
}

const spec = { name: 'ids-web', sources: ['web-1/0'], destination: 'ids-1/0' };
const created = await client.POST('/api/v1/policies', { body: { ...spec, direction: 'inbound' } });
said.created = [created.response.status, created.data?.type, created.data?.percent];

const again = await client.POST('/api/v1/policies', { body: spec });
said.again = again.error?.code;

const patched = await client.PATCH('/api/v1/policies/{name}', { ...byName, body: { percent: 25, direction: null } });
said.patched = [patched.data?.percent, patched.data?.direction];

const policies: string[] = [];
let next: string | undefined;
do {
  const { data } = await client.GET('/api/v1/policies', {
    params: { query: { limit: 1, ...(next && { continue: next }) } },
  });
  policies.push(...data!.items.map(({ name }) => name));
  next = data!.continue;
} while (next !== undefined);
said.policies = policies;

const { data: status } = await client.GET('/api/v1/policies/{name}/status', byName);
type State = 'active' | 'degraded' | 'waiting' | 'ending' | 'disabled' | 'failed' | 'pendingApproval';
const state: State | undefined = status?.state;
said.state = [state, status?.reasons.map(({ code }) => code)];

const none = await client.GET('/api/v1/policies/{name}', { params: { path: { name: 'none' } } });
said.none = [none.response.status, none.error?.code];

const query = { kind: ['policyCreated' as const, 'policyChanged' as const], limit: 10 };
const { data: events } = await client.GET('/api/v1/events', { params: { query } });
said.events = events?.items.map(({ kind, object }) => `${kind} ${object.name}`);

// The controller refuses everything that the types refuse.
// @ts-expect-error: not a direction
const sideways = await client.PATCH('/api/v1/policies/{name}', { ...byName, body: { direction: 'sideways' } });
said.sideways = sideways.error?.errors?.map(({ code, field }) => `${code} ${field}`);
// @ts-expect-error: a field that is not known
const misspelt: components['schemas']['PolicyPatch'] = { percnt: 1 };
const unknown = await client.PATCH('/api/v1/policies/{name}', { ...byName, body: misspelt });
said.unknown = unknown.error?.errors?.map(({ code, field }) => `${code} ${field}`);
// @ts-expect-error: a query parameter that is not known
const colour = await client.GET('/api/v1/nodes', { params: { query: { colour: 'red' } } });
said.colour = colour.error?.errors?.map(({ code, field }) => `${code} ${field}`);
// @ts-expect-error: a policy needs a destination
const nowhere = await client.POST('/api/v1/policies', { body: { name: 'p', sources: ['web-1/0'] } });
said.nowhere = nowhere.error?.errors?.map(({ code, field }) => `${code} ${field}`);

// @ts-expect-error: not a kind of event
const odd = await client.GET('/api/v1/events', { params: { query: { kind: ['policyPainted'] } } });
said.odd = odd.error?.errors?.map(({ code }) => code);

const deleted = await client.DELETE('/api/v1/policies/{name}', byName);
said.deleted = deleted.response.status;
process.stdout.write(JSON.stringify(said));

/** /api/v1/interfaces */

import { filteredInSteps, inTurns } from '@mirrorplane/base';
import {
  Interface,
  InterfaceId,
  InterfaceKind,
  InterfaceSpec,
  InterfaceSummary,
  InterfaceTraffic,
  LookViewer,
  Viewer,
  whyNotMirrorable,
} from '@mirrorplane/contract';
import * as z from 'zod';
import type { Judge } from '../access/judge.ts';
import { deviceOfEdge, oneInterface, recordsOf } from '../inventory/inventory.ts';
import { lookViewersOf } from '../looks/look-viewers.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { Services } from '../services.ts';
import { policiesOf, policiesUsing } from '../store/policies.ts';
import type { InterfaceRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import { interfaceTraffic } from '../summaries/interface-traffic.ts';
import type { InterfaceEntry } from '../summaries/interfaces.ts';
import { viewersOf } from '../summaries/viewers.ts';
import { refuseBroken, refuseMoved, refuseUsed, withInterface } from './dependents.ts';
import { INTERFACES } from './interface-list.ts';
import { requireDeclaration } from './interface-scope.ts';
import { wordsOf } from './list-filter.ts';
import type { Sortable } from './list-spec.ts';
import { etag, found, MutationQuery } from './mutation.ts';
import { deleteNamed, putNamed } from './named-resource.ts';
import { listOf, listOptions, type Page, type PageOptions, pageQuery, pageSteps } from './paging.ts';
import { type Route, route } from './route.ts';

const Params = z.object({
  id: InterfaceId.meta({ description: 'Id of the interface, percent-encoded: `web-1%2F0`.' }),
});
const path = '/api/v1/interfaces';
const tag = 'interfaces';

const Filters = pageQuery(INTERFACES).extend({
  view: z.enum(['whole', 'summary']).default('whole').meta({
    description: 'summary: a few fields of each interface, with what policies make of it.',
  }),
  node: z
    .string()
    .optional()
    .meta({ description: 'Only interfaces with a device on this node, and edges declared on this node.' }),
  kind: InterfaceKind.optional().meta({ description: 'Only interfaces of this kind.' }),
  pool: z.string().optional().meta({ description: 'Only interfaces of this pool.' }),
});

/** Interfaces on one page: a page ends behind them. One has half a kilobyte, or a whole one. */
const PAGE_SIZE = { of: () => 1, most: 5000 };

/** One page of the interfaces that one may see. An entry is kept until the interface changes. */
function* interfacePage(
  { node, kind, pool, ...query }: Omit<z.output<typeof Filters>, 'view'>,
  { interfaces, live }: Services,
  judge: Judge,
  options: PageOptions<InterfaceEntry>,
): Generator<undefined, Page<InterfaceEntry>> {
  const { sort } = query;
  const isContinued = query.continue !== undefined;
  const field = sort.replace('-', '');
  const isById = field === INTERFACES.keyName;
  const isPassing = field === 'traffic';
  const value = (entry: InterfaceEntry) => sortedValue(entry, field, live) ?? undefined;
  const all = interfaces.all();
  // A list that is continued is in the order of its first page, or in that of ids.
  const isKept = !isById && !isContinued;
  const ordered = isKept ? yield* interfaces.orders.of(all, { sort, value, isPassing }) : all;
  // A list that is continued in another order than that of ids has the items of its first page.
  const { plain, keyed } =
    isContinued && !isById ? { plain: [], keyed: query.filter } : wordsOf(INTERFACES, query.filter);
  const found = plain.length === 0 ? ordered : yield* havingAll(plain, { all, ordered }, interfaces);
  const seesAll = judge.everywhere('read');
  const isPlain = seesAll && kind === undefined && pool === undefined && node === undefined;
  const isSeen = ({ item }: InterfaceEntry) =>
    (seesAll || judge.on('read', item)) &&
    (kind === undefined || item.kind === kind) &&
    (pool === undefined || item.pool === pool) &&
    (node === undefined || item.edge?.node === node || item.devices.some((device) => device.node === node));
  const seen = isPlain ? found : yield* filteredInSteps(found, isSeen);
  const sortedBy = isKept ? sort : INTERFACES.keyName;
  return yield* pageSteps(seen, INTERFACES, { ...query, filter: keyed }, { ...options, sortedBy });
}

/** Entries that have all these words, in the order of a list. */
function* havingAll(
  words: readonly string[],
  { all, ordered }: { all: readonly InterfaceEntry[]; ordered: readonly InterfaceEntry[] },
  interfaces: Services['interfaces'],
): Generator<undefined, readonly InterfaceEntry[]> {
  const found = yield* interfaces.havingAll(words, all);
  if (ordered === all) {
    return found;
  }
  const isFound = new Set(found);
  return yield* filteredInSteps(ordered, (entry) => isFound.has(entry));
}

function sortedValue(entry: InterfaceEntry, field: string, live: LiveNodes): Sortable {
  if (field !== 'traffic') {
    return INTERFACES.sort[field]!(entry);
  }
  const traffic = interfaceTraffic(entry.item, live);
  return traffic && traffic.inbound.bitsPerSecond + traffic.outbound.bitsPerSecond;
}

function recordOf(id: string, spec: InterfaceSpec, current: InterfaceRecord | undefined): InterfaceRecord {
  const { kind, name, network, pool, edge, boundTo, labels } = spec;
  const record: InterfaceRecord = { id, kind, name, declared: true };
  // Without a pool from the operator, the last known pool is kept.
  const known = pool ?? (kind === 'edge' ? undefined : current?.pool);
  return {
    ...record,
    ...(network !== undefined && { network }),
    ...(known !== undefined && { pool: known }),
    ...(edge && { edge }),
    ...(boundTo !== undefined && { boundTo }),
    ...(labels && Object.keys(labels).length > 0 && { labels }),
  };
}

/** Compares field by field, because the order of fields may differ. */
function sameRecord(a: InterfaceRecord, b: InterfaceRecord): boolean {
  const text = ({ id, kind, name, network, pool, edge, boundTo, labels, declared }: InterfaceRecord) =>
    JSON.stringify([
      id,
      kind,
      name,
      network,
      pool,
      edge && [edge.node, edge.device, edge.mac, edge.allowedVlans],
      boundTo,
      Object.entries(labels ?? {}).sort(),
      declared,
    ]);
  return text(a) === text(b);
}

export const interfaceRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'List interfaces, declared and observed',
    query: Filters,
    refuses: ['LIST_EXPIRED'],
    responses: [
      {
        status: 200,
        description: 'Interfaces that match the filters, by id; with view=summary, summaries of them.',
        schema: listOf(z.union([Interface, InterfaceSummary])),
      },
    ],
    handle: async ({ query: { view, ...query }, services, judge, who }) => {
      const options = { ...listOptions(services, who), size: PAGE_SIZE };
      const page = await inTurns(interfacePage(query, services, judge, options));
      const shown = (entry: InterfaceEntry) =>
        view === 'whole' ? entry.item : entry.withTraffic(interfaceTraffic(entry.item, services.live) ?? null).summary;
      return { body: { ...page, items: page.items.map(shown) } };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}`,
    tag,
    needs: 'read',
    about: 'interface',
    summary: 'Read an interface',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The interface.', schema: Interface }],
    handle: ({ params: { id }, services: { inventory } }) => {
      const item = found(inventory.get(id), 'interface', id);
      return { headers: { etag: etag(item.revision) }, body: item };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}/traffic`,
    tag,
    needs: 'read',
    about: 'interface',
    summary: 'Read what an interface carries',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [
      {
        status: 200,
        description: 'The mean of the last minute, as the device of its guest counts it.',
        schema: z.object({ traffic: InterfaceTraffic.nullable().meta({ description: 'Null: not known.' }) }),
      },
    ],
    handle: ({ params: { id }, services: { inventory, live } }) => {
      const item = found(inventory.get(id), 'interface', id);
      return { body: { traffic: interfaceTraffic(item, live) ?? null } };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}/viewers`,
    tag,
    needs: 'read',
    about: 'interface',
    summary: 'List who sees the traffic of an interface, now and earlier',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [
      {
        status: 200,
        description:
          'Policies of which it is a source, and those of which it was one or for which nodes have captured it; and looks; as far as events are kept.',
        schema: z.object({ items: z.array(Viewer), looks: z.array(LookViewer) }),
      },
    ],
    handle: ({ params: { id }, services: { view, events, looks } }) => {
      found(view.get('interfaces', id), 'interface', id);
      const items = viewersOf(id, view, events.newestFirst());
      const policies = new Set(items.map(({ policy }) => policy));
      return { body: { items, looks: lookViewersOf(id, { policies, looks, newestFirst: events.newestFirst() }) } };
    },
  }),
  route({
    method: 'put',
    path: `${path}/{id}`,
    tag,
    needs: 'inventory',
    about: 'interface',
    summary: 'Declare an interface, or change its declaration',
    params: Params,
    query: MutationQuery,
    body: InterfaceSpec,
    conditional: true,
    refuses: ['IN_USE', 'EDGE_UNSUPPORTED'],
    responses: [
      { status: 200, description: 'Declared, or already up to date.', schema: Interface },
      { status: 201, description: 'Declared for the first time, and never observed before.', schema: Interface },
    ],
    handle: (call) => {
      const { id } = call.params;
      const require = (stored?: Stored<InterfaceRecord>) =>
        requireDeclaration(call, stored?.value, recordOf(id, call.body, stored?.value));
      return putNamed(call, { folder: 'interfaces', name: id, require }, (stored) => {
        const { body, services } = call;
        const { view, live } = services;
        if (body.edge && !view.get('nodes', body.edge.node)) {
          refuseField(
            'edge.node',
            `there is no node "${body.edge.node}": register it first, for example with "mirrorplane node create ${body.edge.node}"`,
          );
        }
        if (body.boundTo !== undefined && !view.get('nodes', body.boundTo)) {
          refuseField('boundTo', `there is no node "${body.boundTo}": check the name with "mirrorplane node list"`);
        }
        if (body.pool !== undefined && !view.get('pools', body.pool)) {
          refuseField(
            'pool',
            `there is no pool "${body.pool}": create it first, for example with "mirrorplane pool create ${body.pool}"`,
          );
        }
        const value = recordOf(id, body, stored?.value);
        const unchanged = stored !== undefined && sameRecord(stored.value, value);
        const before = recordsOf(view);
        // A copy of all records would take longer than all else.
        const after = (revision: number) => ({
          ...before,
          interfaces: { get: (one: string) => (one === id ? { value, revision } : before.interfaces.get(one)) },
        });
        if (!unchanged) {
          refuseSecondEdge(id, value, before.interfaces);
          refuseNoEdge(id, value, live);
          refuseMoved(stored?.value, value, view);
          refuseBroken(withInterface(services, id, oneInterface(id, after(0), live)));
        }
        return { value, unchanged, body: (revision) => oneInterface(id, after(revision), live) };
      });
    },
  }),
  route({
    method: 'delete',
    path: `${path}/{id}`,
    tag,
    needs: 'inventory',
    about: 'interface',
    summary: 'Delete an interface that no policy uses',
    params: Params,
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND', 'IN_USE'],
    responses: [
      { status: 204, description: 'Deleted. If an agent still sees the interface, only its declaration is removed.' },
    ],
    handle: (call) =>
      deleteNamed(call, { folder: 'interfaces', name: call.params.id }, () => {
        const { id } = call.params;
        const { view, inventory } = call.services;
        refuseUsed(
          `interface "${id}"`,
          policiesUsing(policiesOf(view), id).map(({ name }) => `policy "${name}"`),
        );
        const { devices, declared } = inventory.get(id)!;
        const [device] = devices;
        if (device && !declared) {
          const seen = `node "${device.node}" sees it as device "${device.name}"`;
          throw new ProblemError(
            'IN_USE',
            `interface "${id}" cannot be deleted while ${seen}: remove the identity from the device`,
          );
        }
      }),
  }),
];

/**
 * A device belongs to one interface: two edges with the same device would get each other's copies.
 */
function refuseSecondEdge(
  id: string,
  { edge }: InterfaceRecord,
  all: ReadonlyMap<string, { value: InterfaceRecord }>,
): void {
  for (const { value: other } of all.values()) {
    const sameDevice = edge?.device !== undefined && edge.device === other.edge?.device;
    const sameMac = edge?.mac !== undefined && edge.mac === other.edge?.mac;
    if (edge && other.id !== id && other.edge?.node === edge.node && (sameDevice || sameMac)) {
      const field = sameDevice ? 'edge.device' : 'edge.mac';
      refuseField(
        field,
        `interface "${other.id}" already has this device: use another device, or delete "${other.id}"`,
      );
    }
  }
}

/**
 * Refuses the declaration of a device that cannot be an edge, if its node has reported the device.
 */
function refuseNoEdge(id: string, { edge }: InterfaceRecord, live: LiveNodes): void {
  const node = edge && live.get(edge.node);
  const device = node && deviceOfEdge(node, id, edge);
  const why = device && whyNotMirrorable(device, 'edge');
  if (edge === undefined || device === undefined || why === undefined) {
    return;
  }
  const message = `${device.name} on node "${edge.node}" ${why}`;
  const field = edge.device === undefined ? 'edge.mac' : 'edge.device';
  throw new ProblemError('EDGE_UNSUPPORTED', message, [{ code: 'EDGE_UNSUPPORTED', field, message }]);
}

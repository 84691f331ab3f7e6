/**
 * The resources of the API: their paths, their identifying field, and which fields an operator
 * writes.
 */
import { CliError } from './exit.ts';

/** By kind: path below /api/v1, identifying field, and fields of the spec. */
export const RESOURCES = {
  Domain: { path: '/domains', key: 'name', fields: ['description'] },
  Pool: { path: '/pools', key: 'name', fields: ['domain', 'description', 'underlay'] },
  Node: { path: '/nodes', key: 'name', fields: ['pool'] },
  Interface: {
    path: '/interfaces',
    key: 'id',
    fields: ['kind', 'name', 'network', 'pool', 'edge', 'boundTo', 'labels'],
  },
  Policy: {
    path: '/policies',
    key: 'name',
    fields: [
      'description',
      'sources',
      'destination',
      'direction',
      'percent',
      'vlanId',
      'maxRate',
      'allowFeedback',
      'enabled',
      'endsAt',
    ],
  },
} as const;

/** Everything whose names a shell can complete: looks have no fields that an operator writes. */
export const COMPLETED = { ...RESOURCES, Look: { path: '/looks', key: 'id' } } as const;
export type Completed = keyof typeof COMPLETED;

/** Kinds in order of creation: each kind needs those before it. */
export const KINDS = ['Domain', 'Pool', 'Node', 'Interface', 'Policy'] as const;
export type Kind = (typeof KINDS)[number];

/**
 * Path of one resource below /api/v1.
 * @throws CliError (notFound) for the one name that no policy can have.
 */
export function pathOf(kind: Kind, name: string): string {
  if (kind === 'Policy' && name === 'status') {
    throw new CliError(
      'notFound',
      'there is no policy "status": the name is reserved, because its URL shows the status of all policies',
    );
  }
  return `${RESOURCES[kind].path}/${encodeURIComponent(name)}`;
}

/** The fields of a resource that an operator writes, without those that the controller adds. */
export function specOf(kind: Kind, resource: object): Record<string, unknown> {
  const spec: Record<string, unknown> = {};
  for (const field of RESOURCES[kind].fields) {
    const value = (resource as Record<string, unknown>)[field];
    if (value !== undefined) {
      spec[field] = value;
    }
  }
  return spec;
}

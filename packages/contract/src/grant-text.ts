/**
 * Grants as people write them: `operator`, or `operator:pool=east,west:network=blue:label.team=net`.
 * Without schemas, so that a command that needs it starts fast.
 */
import type { Grant, Role, Scope } from './access.ts';

const FORM = 'write ROLE, or ROLE:pool=A,B:network=C:label.KEY=VALUE with one or several of these';

/** The text is no grant. The message says what one looks like. */
export class GrantTextError extends Error {
  override name = 'GrantTextError';
}

/** Reads one grant. Whether the role exists is judged by the controller. @throws GrantTextError */
export function parseGrant(text: string): Grant {
  const [role = '', ...fields] = text.split(':');
  if (!/^[a-z]+$/.test(role)) {
    throw new GrantTextError(`"${role}" is no role: ${FORM}`);
  }
  return fields.length === 0 ? { role: role as Role } : { role: role as Role, scope: scopeOf(fields) };
}

/** Reads grants with white space between them. @throws GrantTextError */
export function parseGrants(text: string): Grant[] {
  return text.split(/\s+/).filter(Boolean).map(parseGrant);
}

function scopeOf(fields: readonly string[]): Scope {
  const scope: Scope = {};
  for (const field of fields) {
    const [, key = '', value = ''] = /^([^=]+)=(.+)$/.exec(field) ?? [];
    const values = value.split(',');
    if (values.includes('')) {
      throw new GrantTextError(FORM);
    }
    if (key === 'pool') {
      scope.pools = values;
    } else if (key === 'network') {
      scope.networks = values;
    } else if (/^label\../.test(key)) {
      scope.labels = { ...scope.labels, [key.slice('label.'.length)]: value };
    } else {
      throw new GrantTextError(FORM);
    }
  }
  return scope;
}

/** Grants as `parseGrants` reads them. */
export function formatGrants(grants: readonly Grant[]): string {
  return grants.map(formatGrant).join(' ');
}

function formatGrant({ role, scope = {} }: Grant): string {
  const { pools, networks, labels = {} } = scope;
  return [
    role,
    ...(pools ? [`pool=${pools.join(',')}`] : []),
    ...(networks ? [`network=${networks.join(',')}`] : []),
    ...Object.entries(labels).map(([key, value]) => `label.${key}=${value}`),
  ].join(':');
}

/** Grants on the command line: `operator`, or `operator:pool=east,west:network=blue:label.team=net`. */
import type { Grant, Role, Scope } from '@mirrorplane/contract';
import { InvalidArgumentError } from 'commander';

const FORM = 'write ROLE, or ROLE:pool=A,B:network=C:label.KEY=VALUE with one or several of these';

/** Collects grants of repeated options. @throws InvalidArgumentError */
export function collectGrants(value: string, before: Grant[] | undefined): Grant[] {
  return [...(before ?? []), grantOf(value)];
}

/** Reads one grant. @throws InvalidArgumentError */
export function grantOf(text: string): Grant {
  const [role = '', ...fields] = text.split(':');
  // The controller knows the roles. Loading them here takes longer than a command.
  if (!/^[a-z]+$/.test(role)) {
    throw new InvalidArgumentError(`"${role}" is no role. ${FORM}.`);
  }
  if (fields.length === 0) {
    return { role: role as Role };
  }
  const scope: Scope = {};
  for (const field of fields) {
    const [, key = '', value = ''] = /^([^=]+)=(.+)$/.exec(field) ?? [];
    const values = value.split(',');
    if (values.includes('')) {
      throw new InvalidArgumentError(`${FORM}.`);
    }
    if (key === 'pool') {
      scope.pools = values;
    } else if (key === 'network') {
      scope.networks = values;
    } else if (/^label\../.test(key)) {
      scope.labels = { ...scope.labels, [key.slice('label.'.length)]: value };
    } else {
      throw new InvalidArgumentError(`${FORM}.`);
    }
  }
  return { role: role as Role, scope };
}

/** A grant as the command line takes it. */
export function grantText({ role, scope = {} }: Grant): string {
  const { pools, networks, labels = {} } = scope;
  return [
    role,
    ...(pools ? [`pool=${pools.join(',')}`] : []),
    ...(networks ? [`network=${networks.join(',')}`] : []),
    ...Object.entries(labels).map(([key, value]) => `label.${key}=${value}`),
  ].join(':');
}

/**
 * The identity provider `alias`. Any orchestrator can give a device its identity with `ip link set
 * DEV alias 'mirrorplane:kind=vm;id=web-1/0;name=web-1 eth0;network=blue'`.
 */
import { type DeviceIdentity, GuestState, InterfaceId, MacAddress } from '@mirrorplane/contract';
import { MAX_TEXT } from './provider.ts';

const PREFIX = 'mirrorplane:';

/** The result of an alias: an identity, an error, or undefined for an alias of other software. */
export type AliasResult =
  | { identity: DeviceIdentity; guest?: GuestState; mac?: string }
  | { error: string }
  | undefined;

/**
 * Reads the alias of a device. Keys may have any order. Unknown keys are ignored, for later
 * versions. Undefined if the alias does not begin with `mirrorplane:`.
 */
export function parseAlias(alias: string): AliasResult {
  if (!alias.startsWith(PREFIX)) {
    return undefined;
  }
  const fields = new Map<string, string>();
  for (const part of alias.slice(PREFIX.length).split(';')) {
    if (part.trim() === '') {
      continue;
    }
    const equals = part.indexOf('=');
    if (equals < 0) {
      return { error: `"${part.trim()}" is not KEY=VALUE` };
    }
    const key = part.slice(0, equals).trim();
    if (fields.has(key)) {
      return { error: `"${key}" is given twice` };
    }
    fields.set(key, part.slice(equals + 1).trim());
  }
  return identityOf(fields);
}

function identityOf(fields: ReadonlyMap<string, string>): AliasResult {
  const kind = fields.get('kind');
  const id = fields.get('id');
  if (kind === undefined) {
    return { error: 'kind is missing: write kind=vm or kind=nfv' };
  }
  if (kind === 'edge') {
    return { error: 'an alias cannot have kind=edge: declare the edge-connected interface' };
  }
  if (kind !== 'vm' && kind !== 'nfv') {
    return { error: `kind "${kind}" is unknown: write kind=vm or kind=nfv` };
  }
  if (id === undefined || id === '') {
    return { error: 'id is missing: write id=NAME, for example id=web-1/0' };
  }
  const checked = InterfaceId.safeParse(id);
  if (!checked.success) {
    return { error: `id "${id}": ${checked.error.issues[0]?.message ?? 'not valid'}` };
  }
  const name = fields.get('name') ?? '';
  const network = fields.get('network');
  if (name.length > MAX_TEXT) {
    return { error: `name is longer than ${MAX_TEXT} characters` };
  }
  if (network !== undefined && network.length > MAX_TEXT) {
    return { error: `network is longer than ${MAX_TEXT} characters` };
  }
  const guest = fields.get('guest');
  const state = GuestState.safeParse(guest);
  if (guest !== undefined && !state.success) {
    return { error: `guest "${guest}": write guest=running or guest=absent` };
  }
  const mac = MacAddress.safeParse(fields.get('mac')?.toLowerCase());
  if (fields.has('mac') && !mac.success) {
    return { error: `mac "${fields.get('mac')}": write a MAC address, for example mac=02:00:00:00:00:01` };
  }
  return {
    identity: { kind, id, name, ...(network ? { network } : {}), provider: 'alias' },
    ...(state.success && { guest: state.data }),
    ...(mac.success && { mac: mac.data }),
  };
}

/** Requests that must be refused, with the right code, and change nothing. */
import type { Problem } from '@mirrorplane/contract';
import { interfaceOf, MOVING, type Spec, type World } from '../world.ts';
import type { Action } from './action.ts';

type Wrong = [code: string, change: Partial<Record<keyof Spec, unknown>>];

const GOOD = { name: 'wrong', destination: 'mon-3/0' };

/** Policies that break a rule each, in this world. */
function wrongs(world: World): Wrong[] {
  const taken = Object.values(world.policies).flatMap(({ sources }) => sources);
  const free = MOVING.map(interfaceOf).filter((id) => !taken.includes(id) && id !== 'mon-3/0');
  const [source] = free;
  const [used] = taken;
  const usedVm = taken.find((id) => id.endsWith('/0') && id !== 'ids-1/0');
  return [
    ['POLICY_NO_SOURCES', { sources: [] }],
    ['POLICY_SOURCE_NOT_FOUND', { sources: ['nobody/0'] }],
    ['POLICY_CROSS_DOMAIN', { sources: ['other-1/0'] }],
    ['POLICY_PHYSICAL_TO_VIRTUAL', { sources: ['edge-1'] }],
    ...(used ? [['POLICY_SOURCE_IN_USE', { sources: [used] }] as Wrong] : []),
    // Copies would go from this source to the receiver and, by this policy, come back.
    ...(usedVm ? [['POLICY_DESTINATION_IS_SOURCE', { sources: [usedVm], destination: usedVm }] as Wrong] : []),
    ...(source
      ? ([
          ['POLICY_VLAN_NOT_ALLOWED', { sources: [source], vlanId: 100 }],
          ['POLICY_VLAN_REQUIRED', { sources: [source], destination: 'edge-1' }],
          ['POLICY_VLAN_NOT_IN_TRUNK', { sources: [source], destination: 'edge-1', vlanId: 999 }],
          ['POLICY_VLAN_INVALID', { sources: [source], destination: 'edge-1', vlanId: 4095 }],
          ['POLICY_PERCENT_INVALID', { sources: [source], percent: 100.5 }],
          ['POLICY_DIRECTION_INVALID', { sources: [source], direction: 'sideways' }],
          ['POLICY_SOURCE_REPEATED', { sources: [source, source] }],
          ['POLICY_SOURCE_KINDS_MIXED', { sources: [source, 'edge-3'], destination: 'edge-1', vlanId: 100 }],
          ['POLICY_DESTINATION_NOT_FOUND', { sources: [source], destination: 'nobody/0' }],
          ['POLICY_RATE_INVALID', { sources: [source], maxRate: 0 }],
        ] satisfies Wrong[])
      : []),
  ];
}

export const refuse: Action<{ code: string; input: unknown }> = {
  name: 'refused-policy',
  weight: 3,
  choose(world, random) {
    if (world.down.includes('controller')) {
      return undefined;
    }
    const [code, change] = random.pick(wrongs(world));
    return { code, input: { ...GOOD, ...change } };
  },
  change: () => undefined,
  async run({ lab, before, violation }, { code, input }) {
    const { status, body } = await lab.api('POST', '/api/v1/policies', input);
    const codes: string[] = ((body as Problem).errors ?? []).map((error) => error.code);
    if (status !== 422 || !codes.includes(code)) {
      violation(`a policy that breaks ${code} was answered ${status} ${JSON.stringify(body)}`);
    }
    const { items } = (await lab.api('GET', '/api/v1/policies')).body as { items: { name: string }[] };
    const names = items.map(({ name }) => name).sort();
    if (JSON.stringify(names) !== JSON.stringify(Object.keys(before.policies).sort())) {
      violation(`after a refusal there are other policies: ${names}`);
    }
  },
};

/** A change with the entity tag of an older state must be refused. */
export const lostRace: Action<{ name: string }> = {
  name: 'lost-race',
  weight: 1,
  choose(world, random) {
    const names = Object.keys(world.policies);
    return world.down.includes('controller') || names.length === 0 ? undefined : { name: random.pick(names) };
  },
  change: () => undefined,
  async run({ lab, violation }, { name }) {
    const headers = { 'content-type': 'application/merge-patch+json', 'if-match': '"1"' };
    const { status } = await lab.api('PATCH', `/api/v1/policies/${name}`, { percent: 1 }, headers);
    if (status !== 412) {
      violation(`a change of ${name} on top of an old revision was answered ${status}, not 412`);
    }
  },
};

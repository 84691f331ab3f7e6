/** Faults of the ways between controllers and etcd, and among controllers. */
import type { Random } from '../../chaos/random.ts';
import type { Host } from '../world/hosts.ts';
import type { World } from '../world/world.ts';
import { all, apart, BEYOND_LEASE, ETCD, type Fault, SEVERAL, victim } from './fault.ts';

/** The leader, and the hosts of the others. */
async function leaderAndOthers(world: World, random: Random): Promise<[Host, Host[]]> {
  const leader = await victim(world, random);
  return [leader.host, world.controllers.filter((one) => one !== leader).map(({ host }) => host)];
}

export const WAY_FAULTS: readonly Fault[] = [
  {
    name: 'requests of the controller reach no member',
    lasts: [2000, 4000],
    kinds: ETCD,
    async begin(world, random) {
      const { etcd } = world;
      const controller = await victim(world, random);
      return all(etcd!.members.map(({ host }) => host.deafTo([controller.host])));
    },
  },
  {
    name: 'answers of etcd do not reach the controller',
    lasts: [2000, 4000],
    kinds: ETCD,
    async begin(world, random) {
      const { host } = await victim(world, random);
      return host.deafTo(world.etcd!.members.map((member) => member.host));
    },
  },
  {
    name: 'answers of etcd do not reach the controller for longer than its lease',
    lasts: BEYOND_LEASE,
    kinds: ETCD,
    async begin(world, random) {
      const { host } = await victim(world, random);
      return host.deafTo(world.etcd!.members.map((member) => member.host));
    },
  },
  {
    name: 'the controller and one member do not reach each other',
    lasts: [3500, 5000],
    kinds: ETCD,
    async begin(world, random) {
      const [controller, member] = [await victim(world, random), random.pick(world.etcd!.members)];
      return apart([controller.host], [member.host]);
    },
  },
  {
    name: 'the leader hears no other controller',
    lasts: [4000, 6000],
    kinds: SEVERAL,
    async begin(world, random) {
      const [leader, others] = await leaderAndOthers(world, random);
      return leader.deafTo(others);
    },
  },
  {
    name: 'no other controller hears the leader',
    lasts: [4000, 6000],
    kinds: SEVERAL,
    async begin(world, random) {
      const [leader, others] = await leaderAndOthers(world, random);
      return all(others.map((host) => host.deafTo([leader])));
    },
  },
  {
    name: 'the leader and all others do not reach each other',
    lasts: [4000, 6000],
    kinds: SEVERAL,
    async begin(world, random) {
      const [leader, others] = await leaderAndOthers(world, random);
      return apart([leader], [...others, ...world.etcd!.members.map(({ host }) => host)]);
    },
  },
  {
    name: 'no controller reaches another one, and all reach etcd and the agents',
    lasts: [5000, 8000],
    kinds: SEVERAL,
    begin({ controllers }) {
      const hosts = controllers.map(({ host }) => host);
      return all(hosts.map((host) => host.deafTo(hosts.filter((other) => other !== host))));
    },
  },
];

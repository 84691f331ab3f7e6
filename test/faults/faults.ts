/** The faults. Each is taken away again, whatever happened meanwhile. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../chaos/random.ts';
import type { ControllerHost } from './world/controller.ts';
import type { Host } from './world/hosts.ts';
import type { World, WorldKind } from './world/world.ts';

export interface Fault {
  name: string;
  /** How long it lasts, milliseconds: from, to. */
  lasts: readonly [least: number, most: number];
  /** Where it makes sense. */
  kinds: readonly WorldKind[];
  /** Begins it. Returns the function that takes it away. */
  begin(world: World, random: Random): Promise<() => Promise<void> | void>;
}

const ETCD = ['etcd', 'several'] as const;
const ALL = ['etcd', 'file', 'several'] as const;
const SEVERAL = ['several'] as const;
/** Longer than the lease of the controller, which is 10 s, and than a call of etcd may take. */
const BEYOND_LEASE = [12_000, 13_000] as const;
const SHORT = [1500, 3000] as const;

/** Several things at once, taken away together. */
async function all(begun: Promise<() => Promise<void> | void>[]): Promise<() => Promise<void>> {
  const undo = await Promise.all(begun);
  return async () => {
    await Promise.all(undo.map((one) => one()));
  };
}

/** The controller that leads. If nobody leads now, any one. */
async function victim(world: World, random: Random): Promise<ControllerHost> {
  return (await world.leader()) ?? random.pick(world.controllers);
}

/** The leader, and the hosts of the others. */
async function leaderAndOthers(world: World, random: Random): Promise<[Host, Host[]]> {
  const leader = await victim(world, random);
  return [leader.host, world.controllers.filter((one) => one !== leader).map(({ host }) => host)];
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'a member of etcd is killed',
    lasts: SHORT,
    kinds: ETCD,
    async begin({ etcd }, random) {
      const leader = await etcd!.leader();
      const member = random.pick(etcd!.members.filter((one) => one !== leader));
      await member.kill(false);
      return () => member.start();
    },
  },
  {
    name: 'the leader of etcd is killed',
    lasts: SHORT,
    kinds: ETCD,
    async begin({ etcd }) {
      const leader = await etcd!.leader();
      await leader.kill(false);
      return () => leader.start();
    },
  },
  {
    name: 'all members of etcd are killed',
    lasts: [500, 1500],
    kinds: ETCD,
    async begin({ etcd }) {
      await Promise.all(etcd!.members.map((member) => member.kill(false)));
      return () => {
        for (const member of etcd!.members) {
          member.start();
        }
      };
    },
  },
  {
    name: 'the leader of etcd is stopped, not ended',
    lasts: [3500, 5000],
    kinds: ETCD,
    async begin({ etcd }) {
      const leader = await etcd!.leader();
      leader.signal('SIGSTOP');
      return () => leader.signal('SIGCONT');
    },
  },
  {
    name: 'the leader of etcd hears no other member',
    lasts: [3000, 4500],
    kinds: ETCD,
    async begin({ etcd }) {
      const leader = await etcd!.leader();
      const others = etcd!.members.filter((one) => one !== leader);
      return leader.host.deafTo(others.map(({ host }) => host));
    },
  },
  {
    name: 'no other member hears the leader of etcd',
    lasts: [3000, 4500],
    kinds: ETCD,
    async begin({ etcd }) {
      const leader = await etcd!.leader();
      const others = etcd!.members.filter((one) => one !== leader);
      return all(others.map(({ host }) => host.deafTo([leader.host])));
    },
  },
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
      return all([controller.host.deafTo([member.host]), member.host.deafTo([controller.host])]);
    },
  },
  {
    name: 'the network is slow',
    lasts: SHORT,
    kinds: ETCD,
    async begin({ etcd, controllers }) {
      const hosts = [...etcd!.members, ...controllers].map(({ host }) => host);
      return all(hosts.map((host) => host.slowNetwork(300)));
    },
  },
  {
    name: 'the disk of a member is full',
    lasts: SHORT,
    kinds: ETCD,
    async begin({ etcd }, random) {
      return random.pick(etcd!.members).host.fillDisk();
    },
  },
  {
    name: 'the database of etcd is full',
    lasts: SHORT,
    kinds: ETCD,
    begin: ({ etcd }) => etcd!.fillDatabase(),
  },
  {
    name: 'the disk of the leader of etcd is slow',
    lasts: [3000, 4000],
    kinds: ETCD,
    begin: async ({ etcd }, random) => (await etcd!.leader()).slowDisk(100 + random.int(300)),
  },
  {
    name: 'the controller is killed',
    lasts: [100, 500],
    kinds: ALL,
    async begin(world, random) {
      const { daemon } = await victim(world, random);
      await daemon.kill(false);
      return () => daemon.start();
    },
  },
  {
    name: 'the controller is stopped, not ended',
    lasts: [1000, 3000],
    kinds: ALL,
    async begin(world, random) {
      const { daemon } = await victim(world, random);
      daemon.signal('SIGSTOP');
      return () => daemon.signal('SIGCONT');
    },
  },
  {
    name: 'the controller is stopped for longer than its lease',
    lasts: BEYOND_LEASE,
    kinds: ETCD,
    async begin(world, random) {
      const { daemon } = await victim(world, random);
      daemon.signal('SIGSTOP');
      return () => daemon.signal('SIGCONT');
    },
  },
  {
    name: 'the disk of the controller is full',
    lasts: SHORT,
    kinds: ALL,
    begin: async (world, random) => (await victim(world, random)).host.fillDisk(),
  },
  {
    name: 'the disk of the controller is slow',
    lasts: [3000, 4000],
    kinds: ALL,
    begin: async (world, random) => (await victim(world, random)).daemon.slowDisk(100 + random.int(300)),
  },
  {
    name: 'the clock of the controller jumps',
    lasts: SHORT,
    kinds: ALL,
    async begin(world, random) {
      const controller = await victim(world, random);
      await world.setClock(controller, random.pick([-3600, 3600]));
      // The clock is looked at once a second.
      await sleep(1100);
      return () => world.setClock(controller, 0);
    },
  },
  {
    name: 'the controller is killed, and its disk is lost',
    lasts: [100, 500],
    // One that follows takes its files from those that were copied to it.
    kinds: ['etcd'],
    async begin(world, random) {
      const { daemon, host } = await victim(world, random);
      await daemon.kill(false);
      // What the operator has copied to each controller.
      await host.run('find', path.join(host.disk, 'data'), '-mindepth', '1', '!', '-name', 'cluster.key', '-delete');
      return () => daemon.start();
    },
  },
  {
    name: 'a controller that follows is killed',
    lasts: [100, 500],
    kinds: SEVERAL,
    async begin(world, random) {
      const leader = await world.leader();
      const { daemon } = random.pick(world.controllers.filter((one) => one !== leader));
      await daemon.kill(false);
      return () => daemon.start();
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
      const far = [...others, ...world.etcd!.members.map(({ host }) => host)];
      return all([leader.deafTo(far), ...far.map((host) => host.deafTo([leader]))]);
    },
  },
  {
    name: 'the leader is stopped until another one leads',
    lasts: [5000, 8000],
    kinds: SEVERAL,
    async begin(world, random) {
      const { daemon } = await victim(world, random);
      daemon.signal('SIGSTOP');
      return () => daemon.signal('SIGCONT');
    },
  },
];

/** @throws Error if there is none of that name */
export function faultOf(name: string): Fault {
  const found = FAULTS.find((one) => one.name === name);
  if (found === undefined) {
    throw new Error(`there is no fault "${name}"`);
  }
  return found;
}

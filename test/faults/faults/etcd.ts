/** Faults of members of etcd. */
import { setTimeout as sleep } from 'node:timers/promises';
import { all, ETCD, type Fault, follower, SHORT } from './fault.ts';

export const ETCD_FAULTS: readonly Fault[] = [
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
    name: 'etcd drops the past that a watch has not seen',
    lasts: [500, 1500],
    kinds: ETCD,
    async begin(world, random) {
      const { daemon } = world.controllers.length > 1 ? await follower(world, random) : world.controllers[0]!;
      daemon.signal('SIGSTOP');
      try {
        // Others go on. If there are none, revisions are of other keys.
        await sleep(1000);
        await world.etcd!.putSome();
        await world.etcd!.compact(await world.observer!.caughtUp());
        // Watches have to begin again, behind what they have seen.
        await Promise.all(world.etcd!.members.map((member) => member.kill(true)));
      } catch (error) {
        daemon.signal('SIGCONT');
        throw error;
      }
      return () => daemon.signal('SIGCONT');
    },
  },
  {
    name: 'etcd moves its lead',
    lasts: [500, 1000],
    kinds: ETCD,
    async begin({ etcd }, random) {
      await etcd!.moveLeader(random);
      return () => undefined;
    },
  },
  {
    name: 'members of etcd are defragmented',
    lasts: [100, 500],
    kinds: ETCD,
    async begin({ etcd }) {
      await etcd!.ctl('defrag');
      return () => undefined;
    },
  },
  {
    name: 'etcd asks for a password that nobody has',
    lasts: [2000, 4000],
    kinds: ETCD,
    begin: ({ etcd }) => etcd!.askForPassword(),
  },
];

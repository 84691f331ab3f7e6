/** Faults of controllers, of their disks and clocks. */
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { ControllerHost } from '../world/controller.ts';
import type { Host } from '../world/hosts.ts';
import type { World } from '../world/world.ts';
import { ALL, BEYOND_LEASE, ETCD, type Fault, follower, SEVERAL, SHORT, victim } from './fault.ts';

export const CONTROLLER_FAULTS: readonly Fault[] = [
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
      await sleep(CLOCK_MS);
      return () => world.setClock(controller, 0);
    },
  },
  {
    name: 'the controller is killed, and its disk is lost',
    lasts: [100, 500],
    kinds: ['etcd'],
    async begin(world, random) {
      const { daemon, host } = await victim(world, random);
      await daemon.kill(false);
      await loseFiles(host);
      return () => daemon.start();
    },
  },
  {
    name: 'a controller that follows is killed',
    lasts: [100, 500],
    kinds: SEVERAL,
    async begin(world, random) {
      const { daemon } = await follower(world, random);
      await daemon.kill(false);
      return () => daemon.start();
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
  {
    name: 'the controller that leads is killed, and its disk is lost',
    lasts: [100, 500],
    kinds: SEVERAL,
    async begin(world, random) {
      const { daemon, host } = await victim(world, random);
      await daemon.kill(false);
      await loseFiles(host);
      return () => daemon.start();
    },
  },
  {
    name: 'a controller that follows is killed, and its disk is lost',
    lasts: [100, 500],
    kinds: SEVERAL,
    async begin(world, random) {
      const { daemon, host } = await follower(world, random);
      await daemon.kill(false);
      await loseFiles(host);
      return () => daemon.start();
    },
  },
  {
    name: 'the disk of the controller that leads is lost, with the key of the cluster',
    lasts: [4000, 6000],
    kinds: SEVERAL,
    async begin(world, random) {
      const lost = await victim(world, random);
      await lost.daemon.kill(false);
      await lost.host.run('find', dataOf(lost.host), '-mindepth', '1', '-delete');
      // It has no key: it hands clients on, and does not lead.
      lost.daemon.start();
      return async () => {
        const other = world.controllers.find((one) => one !== lost)!;
        copyFileSync(other.host.path('data', 'cluster.key'), lost.host.path('data', 'cluster.key'));
        await leadsAlone(world, lost);
      };
    },
  },
  {
    name: 'clocks are hours apart, and another controller leads',
    lasts: [3000, 4000],
    kinds: SEVERAL,
    async begin(world, random) {
      const leader = await victim(world, random);
      const others = world.controllers.filter((one) => one !== leader);
      const seconds = random.pick([-5, 5]) * 3600;
      await Promise.all(others.map((one) => world.setClock(one, seconds)));
      await sleep(CLOCK_MS);
      await leader.daemon.kill(true);
      return async () => {
        await Promise.all(others.map((one) => world.setClock(one, 0)));
        await sleep(CLOCK_MS);
      };
    },
  },
  {
    name: 'the clock of a controller that follows jumps by hours',
    lasts: SHORT,
    kinds: SEVERAL,
    async begin(world, random) {
      const controller = await follower(world, random);
      await world.setClock(controller, random.pick([-5, 5]) * 3600);
      await sleep(CLOCK_MS);
      return () => world.setClock(controller, 0);
    },
  },
];

/** The clock is looked at once a second. */
const CLOCK_MS = 1100;

const dataOf = (host: Host) => path.join(host.disk, 'data');

/** Removes all files but what the operator has copied to each controller. */
async function loseFiles(host: Host): Promise<void> {
  await host.run('find', dataOf(host), '-mindepth', '1', '!', '-name', 'cluster.key', '-delete');
}

/** Waits until a controller leads while the others are down. */
async function leadsAlone(world: World, one: ControllerHost): Promise<void> {
  const others = world.controllers.filter((other) => other !== one);
  const { daemon } = one;
  await until(
    `${daemon.name} has the key of the cluster`,
    async () => {
      const { body } = await one.call('GET', '/api/v1/status').catch(() => ({ body: undefined }));
      const problems = body?.problems as { kind: string }[] | undefined;
      return (
        problems !== undefined && body.controllers.length === 3 && problems.every(({ kind }) => kind !== 'controller')
      );
    },
    { limitMs: 30_000 },
  );
  await Promise.all(others.map((other) => other.daemon.kill(false)));
  try {
    const leads = async () => (await world.leader()) === one && (await one.call('GET', '/readyz')).status === 200;
    await until(`${daemon.name} leads`, () => leads().catch(() => false), { limitMs: 60_000 });
  } finally {
    for (const other of others) {
      other.daemon.start();
    }
  }
}

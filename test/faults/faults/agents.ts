/** Faults of agents, and of the ways between them and controllers. */
import { apart, ETCD, type Fault, SEVERAL, victim } from './fault.ts';

/** Longer than an agent waits for an answer to its pings where there are several controllers. */
const UNTIL_MISSED = [4000, 6000] as const;

export const AGENT_FAULTS: readonly Fault[] = [
  {
    name: 'the agents are killed',
    lasts: [100, 500],
    kinds: ETCD,
    async begin({ agents }) {
      await agents!.daemon.kill(false);
      return () => agents!.daemon.start();
    },
  },
  {
    name: 'the agents and the controller that leads do not reach each other',
    lasts: UNTIL_MISSED,
    kinds: SEVERAL,
    async begin(world, random) {
      const { host } = await victim(world, random);
      return apart([world.agents!.host], [host]);
    },
  },
  {
    name: 'the agents and one controller do not reach each other',
    lasts: UNTIL_MISSED,
    kinds: SEVERAL,
    begin: ({ agents, controllers }, random) => apart([agents!.host], [random.pick(controllers).host]),
  },
  {
    name: 'the agents do not hear the controller that leads',
    lasts: UNTIL_MISSED,
    kinds: ETCD,
    async begin(world, random) {
      const { host } = await victim(world, random);
      return world.agents!.host.deafTo([host]);
    },
  },
  {
    name: 'the controller that leads does not hear the agents',
    lasts: UNTIL_MISSED,
    kinds: ETCD,
    async begin(world, random) {
      const { host } = await victim(world, random);
      return host.deafTo([world.agents!.host]);
    },
  },
];

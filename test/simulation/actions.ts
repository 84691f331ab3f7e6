/** What happens in a schedule: acts of operators, moves of guests, and faults. */
import { CLUSTER_FAULTS } from './cluster-actions.ts';
import { later, POLICY_NAMES, type Stage } from './stage.ts';
import type { Guest } from './world/guests.ts';
import type { Host } from './world/host.ts';
import { enrol, send } from './world/operator.ts';
import { CONTROLLER } from './world/world.ts';

/** Two pools of one domain. */
export const POOLS = ['pool-a', 'pool-b'] as const;
export const EDGES = ['edge-1', 'edge-2'];
const EDGE_DEVICES = ['eth1', 'eth2'];

type Action = (stage: Stage) => void | Promise<void>;

function policyBody({ guests, random }: Stage): object {
  const ids = guests.all.map(({ id }) => id);
  const isPhysical = random.chance(0.25);
  const destination = isPhysical ? random.pick(EDGES)! : random.pick(ids)!;
  const sources = random.some(
    ids.filter((id) => id !== destination),
    3,
  );
  return { sources, destination, enabled: random.chance(0.9), ...(isPhysical && { vlanId: 100 + random.below(3) }) };
}

function writePolicy(stage: Stage): void {
  const name = stage.random.pick(POLICY_NAMES)!;
  send(stage.world, { method: 'put', path: 'policies/{name}', params: { name }, body: policyBody(stage) });
}

function patchPolicy(body: (stage: Stage) => object): Action {
  return (stage) => {
    const name = stage.random.pick(POLICY_NAMES)!;
    send(stage.world, { method: 'patch', path: 'policies/{name}', params: { name }, body: body(stage) });
  };
}

function deletePolicy({ world, random }: Stage): void {
  send(world, { method: 'delete', path: 'policies/{name}', params: { name: random.pick(POLICY_NAMES)! } });
}

/** Declares an edge at a host. */
export function declareEdge({ world, random }: Stage, id: string): void {
  const edge = { node: random.pick(world.hosts)!.name, device: random.pick(EDGE_DEVICES)! };
  send(world, { method: 'put', path: 'interfaces/{id}', params: { id }, body: { kind: 'edge', edge } });
}

function aGuest({ guests, random }: Stage, is: (guest: Guest) => unknown): Guest | undefined {
  return random.pick(guests.all.filter((guest) => is(guest)));
}

function powered({ world, random }: Stage): Host | undefined {
  return random.pick(world.hosts.filter((host) => host.powered));
}

function move(stage: Stage): void {
  const { guests, random } = stage;
  const isMoving = ({ target, origin }: Guest) => target || origin;
  const moving = aGuest(stage, isMoving);
  if (moving && random.chance(0.7)) {
    if (moving.origin) {
      guests.finish(moving);
    } else if (random.chance(0.85)) {
      guests.switchOver(moving);
    } else {
      guests.giveUp(moving);
    }
    return;
  }
  const guest = aGuest(stage, (one) => one.host && !isMoving(one));
  const target = powered(stage);
  if (guest && target) {
    guests.begin(guest, target);
  }
}

/** The longest time that each part of a short move takes, milliseconds. */
const LEAP_MS = 150;

/** A move that is over before all nodes are ready for it. */
function leap(stage: Stage): void {
  const { guests, random, world } = stage;
  const guest = aGuest(stage, (one) => one.host && !one.target && !one.origin);
  const target = powered(stage);
  if (guest && target) {
    guests.begin(guest, target);
    const arrives = random.between(0, LEAP_MS);
    world.scheduler.after(arrives, undefined, () => guests.switchOver(guest));
    world.scheduler.after(arrives + random.between(0, LEAP_MS), undefined, () => guests.finish(guest));
  }
}

/** Ends all moves, so that each guest has one device. */
export function endMoves({ guests }: Stage): void {
  for (const guest of guests.all) {
    guests.giveUp(guest);
    guests.finish(guest);
  }
}

function bootOrStop(stage: Stage): void {
  const { guests, random } = stage;
  const absent = aGuest(stage, ({ host }) => !host);
  const host = powered(stage);
  const guest = aGuest(stage, () => true);
  if (absent && host) {
    guests.boot(absent, host);
  } else if (guest && random.chance(0.3)) {
    guests.stop(guest);
  }
}

function killAgent(stage: Stage): void {
  const host = powered(stage);
  if (host) {
    stage.world.killAgent(host);
    later(stage, () => stage.world.startAgent(host));
  }
}

async function losePower(stage: Stage): Promise<void> {
  const { world, guests } = stage;
  const host = powered(stage);
  if (host) {
    await world.losePower(host);
    guests.lost(host);
    later(stage, () => {
      world.powerUp(host);
      world.startAgent(host);
    });
  }
}

function killController(stage: Stage): void {
  const { world, random } = stage;
  // Often while it decides something.
  if (random.chance(0.6)) {
    writePolicy(stage);
  }
  world.scheduler.after(random.between(0, 60), undefined, () => {
    world.killController(random.chance(0.3));
    later(stage, () => world.startController());
  });
}

function cut(stage: Stage): void {
  const { world, random } = stage;
  const { name } = random.pick(world.hosts)!;
  world.network.cut(name, CONTROLLER);
  world.note(name, 'is cut off from the controller');
  later(stage, () => {
    world.network.heal();
    world.note('network', 'all reach each other');
  });
}

function breakOne({ world, random }: Stage): void {
  const { name } = random.pick(world.hosts)!;
  world.note(name, 'loses its connection');
  world.network.breakOne(random.chance(0.5) ? name : CONTROLLER);
}

function stall({ world, random }: Stage): void {
  const processes = [world.controllerProcess, ...world.hosts.map(({ agent }) => agent)].filter((one) => one?.alive);
  const process = random.pick(processes);
  if (process) {
    world.stall(process, random.chance(0.7) ? random.between(10, 2000) : random.between(2000, 20_000));
  }
}

function setClock({ world, random }: Stage): void {
  const name = random.pick([CONTROLLER, ...world.hosts.map((host) => host.name)])!;
  world.setClock(name, random.between(-1, 1) * random.pick([500, 10_000, 600_000])!);
}

function deleteNode(stage: Stage): void {
  const { world, random } = stage;
  const { name } = random.pick(world.hosts)!;
  const query = { dead: random.chance(0.7) ? 'true' : 'false' };
  send(world, { method: 'delete', path: 'nodes/{name}', params: { name }, query });
  later(stage, () => admit(stage, name));
}

function revokeNode(stage: Stage): void {
  const { world, random } = stage;
  const { name } = random.pick(world.hosts)!;
  send(world, { method: 'post', path: 'nodes/{name}/revoke', params: { name } });
  later(stage, () => admit(stage, name));
}

/** Registers a node if it is not, and lets its host join. */
export function admit({ world }: Stage, name: string): void {
  send(world, { method: 'put', path: 'nodes/{name}', params: { name }, body: { pool: poolOf(name) } });
  world.scheduler.after(30, undefined, () => enrol(world, world.host(name)!));
}

function poolOf(name: string): string {
  return POOLS[name === 'node-3' ? 1 : 0];
}

/** The disk of a host takes no more for a while. */
function fillDisk(stage: Stage): void {
  const { world, random } = stage;
  const host = random.pick(world.hosts)!;
  world.fillDisk(host, true);
  later(stage, () => world.fillDisk(host, false));
}

/** All agents end at once, and come back at once. */
function restartAgents({ world }: Stage): void {
  const hosts = world.hosts.filter(({ powered }) => powered);
  for (const host of hosts) {
    world.killAgent(host);
  }
  for (const host of hosts) {
    world.startAgent(host);
  }
}

/** The store forgets the past, also what the controller has not been told yet. */
function forgetPast({ world }: Stage): void {
  world.note('store', 'forgets the past');
  world.controllers[0]!.store?.forget();
}

/** What operators and guests do, each as often as its number says. */
const ACTS: readonly [weight: number, action: Action][] = [
  [10, writePolicy],
  [6, patchPolicy(() => ({ enabled: false }))],
  [6, patchPolicy(() => ({ enabled: true }))],
  [4, patchPolicy(({ random }) => ({ percent: 1 + random.below(100) }))],
  [3, patchPolicy(({ random }) => ({ direction: random.pick(['all', 'inbound', 'outbound']) }))],
  [5, patchPolicy(({ guests, random }) => ({ destination: random.pick(guests.all)!.id }))],
  [6, deletePolicy],
  [3, (stage) => declareEdge(stage, stage.random.pick(EDGES)!)],
  [16, move],
  [4, leap],
  [6, bootOrStop],
];
/** What breaks, likewise: anywhere, and where one controller is alone. */
const FAULTS: readonly [weight: number, action: Action][] = [
  [6, killAgent],
  [2, losePower],
  [2, deleteNode],
  [1, revokeNode],
  [1, fillDisk],
  [1, restartAgents],
];
const FAULTS_OF_ONE: readonly [weight: number, action: Action][] = [
  [5, killController],
  [4, cut],
  [5, breakOne],
  [4, stall],
  [1, setClock],
  [2, forgetPast],
];

/** Does one thing, whichever the seed says. @param isCalm nothing breaks */
export async function act(stage: Stage, isCalm: boolean): Promise<void> {
  const faults = () => [...FAULTS, ...(stage.world.clusters ? CLUSTER_FAULTS : FAULTS_OF_ONE)];
  const actions = isCalm ? ACTS : [...ACTS, ...faults()];
  let at = stage.random.below(actions.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, action] of actions) {
    at -= weight;
    if (at < 0) {
      await action(stage);
      return;
    }
  }
}

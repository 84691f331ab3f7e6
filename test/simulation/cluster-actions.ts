/** What breaks where several controllers run. */
import { later, POLICY_NAMES, type Stage } from './stage.ts';
import type { ControllerHost } from './world/controller-host.ts';
import { send } from './world/operator.ts';

/** A controller: mostly the one that leads. */
function aController({ world, random }: Stage): ControllerHost {
  const leading = world.controllers.find(({ process }) => process && process === world.controllerProcess);
  return leading && random.chance(0.6) ? leading : random.pick(world.controllers)!;
}

function killController(stage: Stage): void {
  const { world, random } = stage;
  const host = aController(stage);
  world.scheduler.after(random.between(0, 60), undefined, () => {
    world.killControllerOf(host, random.chance(0.3));
    later(stage, () => world.startControllerOf(host));
  });
}

/** Each controller answers with what is true, or not at all. */
function readPolicy({ world, random }: Stage): void {
  send(world, { method: 'get', path: 'policies/{name}', params: { name: random.pick(POLICY_NAMES)! } });
}

/** In order, as its service manager does it. */
function stopController(stage: Stage): void {
  const { world } = stage;
  const host = aController(stage);
  world.stopControllerOf(host);
  later(stage, () => world.startControllerOf(host));
}

function cutAndHeal(stage: Stage, pairs: readonly (readonly [string, string])[]): void {
  const { world } = stage;
  for (const [a, b] of pairs) {
    world.network.cut(a, b);
    world.note(a, `does not reach ${b}`);
  }
  later(stage, () => {
    world.network.heal();
    world.note('network', 'all reach each other');
  });
}

/** A node does not reach a controller, or any of them. */
function cutNode(stage: Stage): void {
  const { world, random } = stage;
  const { name } = random.pick(world.hosts)!;
  const all = world.controllers.map((one) => one.name);
  const cut = random.chance(0.5) ? all : [aController(stage).name];
  cutAndHeal(
    stage,
    cut.map((one) => [name, one] as const),
  );
}

/** A controller does not reach one member of etcd, or any of them, and perhaps no other controller. */
function cutController(stage: Stage): void {
  const { world, random } = stage;
  const { name } = aController(stage);
  const members = random.chance(0.7) ? world.etcd!.names : [random.pick(world.etcd!.names)!];
  const others = random.chance(0.4) ? world.controllers.map((one) => one.name).filter((one) => one !== name) : [];
  cutAndHeal(
    stage,
    [...members, ...others].map((one) => [name, one] as const),
  );
}

/** Controllers do not reach each other. */
function cutControllers(stage: Stage): void {
  const { world, random } = stage;
  const [one, ...others] = random.some(
    world.controllers.map(({ name }) => name),
    3,
  );
  cutAndHeal(
    stage,
    others.map((other) => [one!, other] as const),
  );
}

/** Milliseconds in which much is asked after a leader was passed over, and between two questions. */
const ASKED_MS = 3000;
const ASK_MS = 40;

/** Reads and changes of one policy, if there is one, to all that answer. */
function askMuch({ world, random }: Stage): void {
  const there = POLICY_NAMES.filter((name) =>
    world.answering.some(({ running }) => running.services.view.get('policies', name)),
  );
  const params = { name: random.pick(there) ?? POLICY_NAMES[0]! };
  const path = 'policies/{name}';
  for (let at = 0; at < ASKED_MS; at += ASK_MS) {
    world.scheduler.after(at, undefined, () => {
      if (random.chance(0.2)) {
        send(world, { method: 'patch', path, params, body: { percent: 1 + random.below(100) } });
      } else {
        send(world, { method: 'get', path, params });
      }
    });
  }
}

/**
 * The others do not reach a leader that is well, and take its place. From that moment on it does not
 * reach etcd, which could tell it. So it may be sure of itself for a while, as the next one is.
 */
function passOver(stage: Stage): void {
  const { world, random } = stage;
  const { leader } = world.clusters!;
  if (!leader?.alive) {
    return;
  }
  const cut = (names: readonly string[]) => {
    for (const other of names.filter((one) => one !== leader.name)) {
      world.network.cut(leader.name, other);
    }
    world.note(leader.name, `does not reach ${names.join(' ')}`);
  };
  cut(world.controllers.map(({ name }) => name));
  world.clusters!.onEnd(leader, () => {
    cut(world.etcd!.names);
    askMuch(stage);
  });
  world.scheduler.after(random.between(4000, 15_000), undefined, () => {
    world.clusters!.onEnd(leader, undefined);
    world.network.heal();
    world.note('network', 'all reach each other');
  });
}

function stallController(stage: Stage): void {
  const { world, random } = stage;
  const { process } = aController(stage);
  if (process) {
    world.stall(process, random.chance(0.4) ? random.between(10, 2000) : random.between(1000, 20_000));
  }
}

/** What its next start as a leader needs is not there, once. */
function failStart(stage: Stage): void {
  const host = stage.random.pick(stage.world.controllers)!;
  stage.world.note(host.name, 'will fail when it begins to lead');
  host.failsToLead = true;
}

function setClock(stage: Stage): void {
  const { world, random } = stage;
  world.setClock(aController(stage).name, random.between(-1, 1) * random.pick([500, 10_000, 600_000])!);
}

/** A member of etcd ends. The others have all data. */
function endMember(stage: Stage): void {
  const { world, random } = stage;
  const name = random.pick(world.etcd!.names)!;
  world.note(name, 'ends');
  world.etcd!.setDown(name, true);
  later(stage, () => {
    world.note(name, 'is back');
    world.etcd!.setDown(name, false);
  });
}

/** Etcd forgets the past, also what a watch has not got yet. */
function compact({ world }: Stage): void {
  const { etcd } = world;
  world.note('etcd', `forgets what was before revision ${etcd!.data.revision}`);
  etcd!.forget();
}

function breakOne({ world, random }: Stage): void {
  const names = [...world.hosts, ...world.controllers].map(({ name }) => name);
  const name = random.pick(names)!;
  world.note(name, 'loses its connection');
  world.network.breakOne(name);
}

/** What takes the place of the faults of one controller, each as often as its number says. */
export const CLUSTER_FAULTS: readonly [weight: number, action: (stage: Stage) => void][] = [
  [6, killController],
  [2, stopController],
  [1, failStart],
  [3, cutNode],
  [4, cutController],
  [2, cutControllers],
  [2, passOver],
  [5, stallController],
  [1, setClock],
  [2, endMember],
  [2, compact],
  [5, breakOne],
  [10, readPolicy],
];

/** Events of a cluster: time, object, reason and cause. A reader misses no event. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Event, EventList } from '@mirrorplane/contract';

import { ipLink, pinnedLinks } from './support/interfering.ts';
import { useLab } from './support/lab.ts';
import { repairLimit } from './support/numbered.ts';
import { activeEventually, createPolicy, deletePolicy, refusedPolicy } from './support/policy.ts';

const lab = useLab({ vmsPerNode: 1 });
const COMMAND = join(import.meta.dirname, '..', 'bin', 'mirrorplane');
const POLICY = { name: 'ids', sources: ['web-1/0'], destination: 'ids-1/0' };
const OPERATOR = { kind: 'operator', name: 'admin' };

/**
 * Follows from the first event to the end of the tests, through whatever happens to the controller.
 */
class Follower {
  readonly #child: ChildProcess;
  #text = '';
  stderr = '';

  constructor() {
    const env = {
      PATH: process.env.PATH,
      MIRRORPLANE_URL: `unix:${lab().apiSocket}`,
      MIRRORPLANE_TOKEN_FILE: lab().tokenFile,
    };
    const args = ['events', '--follow', '--after', '0', '-o', 'json'];
    this.#child = spawn(COMMAND, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  /** Everything that was printed so far. */
  get events(): Event[] {
    return this.#text
      .slice(0, this.#text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  get last(): number {
    return this.events.at(-1)?.id ?? 0;
  }

  async stop(): Promise<number | null> {
    if (this.#child.exitCode !== null) {
      return this.#child.exitCode;
    }
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    const [code] = await ended;
    return code;
  }
}

let follower: Follower;
after(() => follower?.stop());

/**
 * Waits until the follower has printed an event of this kind, after another event for which `fits`
 * is true.
 */
async function told(kind: Event['kind'], since: number, fits: (event: Event) => boolean = () => true): Promise<Event> {
  const find = () => follower.events.find((event) => event.kind === kind && event.id > since && fits(event));
  await until(`event ${kind}`, () => find() !== undefined, { limitMs: 20_000 }).catch((error: Error) => {
    const others = follower.events.filter(({ id }) => id > since).map((event) => JSON.stringify(event));
    throw new Error(`${error.message}; told: ${others.join('\n')}`);
  });
  return find()!;
}
const about = (id: string) => (event: Event) => event.object.name === id;

test('the creation of a policy and its active state are events with the operator as the cause', async () => {
  follower = new Follower();
  await told('nodeConnected', 0);
  await createPolicy(lab(), POLICY);
  await activeEventually(lab(), 'ids');
  const created = await told('policyCreated', 0);
  assert.deepEqual([created.object, created.cause], [{ kind: 'policy', name: 'ids' }, OPERATOR]);
  const attached = await told('captureAttached', 0, about('web-1/0'));
  assert.deepEqual([attached.node, attached.policy, attached.cause.kind], ['node-1', 'ids', 'controller']);
  const state = await told('policyStateChanged', created.id, about('ids'));
  assert.deepEqual([state.state, state.previousState, state.cause], ['active', undefined, OPERATOR]);
});

test('a refused policy is an event with the code of the refusal', async () => {
  const { detail } = await refusedPolicy(lab(), { ...POLICY, name: 'second' });
  const refused = await told('requestRefused', 0);
  assert.deepEqual(
    [refused.object, refused.code, refused.message, refused.cause],
    [{ kind: 'policy', name: 'second' }, 'POLICY_INVALID', detail, OPERATOR],
  );
});

test('the repair of a detached program is an event with node, interface, policy and program', async () => {
  const { ifindex } = (await ipLink(lab(), 'node-1', 'tap-web-1'))!;
  const [link] = pinnedLinks(lab(), 'node-1', `ingress-${ifindex}-capture_ingress`);
  const since = follower.last;
  const before = Date.now();
  await lab().exec('node-1', ['bpftool', 'link', 'detach', 'pinned', link!]);
  const repaired = await told('repaired', since);
  const { object, node, policy, count, cause, message } = repaired;
  assert.deepEqual(
    { object, node, policy, count, cause, message },
    {
      object: { kind: 'interface', name: 'web-1/0' },
      node: 'node-1',
      policy: 'ids',
      count: 1,
      cause: { kind: 'agent', name: 'node-1' },
      message: 'repaired: capture_ingress of tap-web-1 was detached',
    },
  );
  const ms = Date.parse(repaired.at) - before;
  assert.ok(ms >= 0 && ms <= 1.5 * repairLimit(), `told after ${ms} ms`);
  assert.equal(follower.events.filter(({ kind, id }) => kind === 'repaired' && id > since).length, 1);
});

test('a migration has events from begin to end, and the new capture has its duration in milliseconds', async () => {
  const since = follower.last;
  await lab().migrate('web-1', 'node-2', { overlap: true });
  const migrated = await told('interfaceMigrated', since, about('web-1/0'));
  assert.deepEqual([migrated.from, migrated.node], ['node-1', 'node-2']);
  const attached = await told('captureAttached', since, about('web-1/0'));
  assert.deepEqual([attached.node, attached.cause], ['node-2', { kind: 'agent', name: 'node-2' }]);
  assert.ok((attached.ms ?? -1) > 0 && attached.ms! < 10_000, `${attached.ms} ms`);
  const detached = await told('captureDetached', since, about('web-1/0'));
  assert.deepEqual([detached.node, detached.message.split(': ')[1]], ['node-1', 'the device is gone']);
  const steps = follower.events.filter(({ id, kind, object }) => {
    return id > since && kind.startsWith('interface') && object.name === 'web-1/0';
  });
  // A machine that is busy can show both devices at once, or one after the other: then there is
  // nothing to begin.
  if (steps.length > 1 && steps[0]?.kind !== 'interfaceGone') {
    assert.deepEqual([steps[0]?.kind, steps[0]?.from], ['interfaceMigrating', 'node-1']);
  }
  assert.equal(steps.at(-1)?.kind, 'interfaceMigrated');
  await activeEventually(lab(), 'ids');
});

test('an agent that is killed degrades the policy, and the event names its node as the cause', async () => {
  const since = follower.last;
  await lab().stopAgent('node-2', 'SIGKILL');
  const gone = await told('nodeDisconnected', since);
  assert.deepEqual(gone.object, { kind: 'node', name: 'node-2' });
  const degraded = await told('policyStateChanged', since, ({ state }) => state === 'degraded');
  assert.deepEqual(degraded.cause, { kind: 'agent', name: 'node-2' });
  assert.ok(degraded.reasons?.some(({ code, node }) => code === 'NODE_DISCONNECTED' && node === 'node-2'));
  await lab().startAgent('node-2');
  await told('nodeConnected', gone.id, about('node-2'));
  const active = await told('policyStateChanged', degraded.id, ({ state }) => state === 'active');
  assert.equal(active.previousState, 'degraded');
});

test('events from a time without the controller arrive when it is back, and its start changes no state', async () => {
  const since = follower.last;
  await lab().stopController('SIGKILL');
  const { ifindex } = (await ipLink(lab(), 'node-2', 'tap-web-1'))!;
  const [link] = pinnedLinks(lab(), 'node-2', `egress-${ifindex}-capture_egress`);
  await lab().exec('node-2', ['bpftool', 'link', 'detach', 'pinned', link!]);
  await lab().startController();
  await told('controllerStarted', since);
  const repaired = await told('repaired', since);
  assert.deepEqual([repaired.object.name, repaired.node], ['web-1/0', 'node-2']);
  await activeEventually(lab(), 'ids');
  await deletePolicy(lab(), 'ids');
  const deleted = await told('policyDeleted', since);
  assert.deepEqual(deleted.cause, OPERATOR);
  await told('captureDetached', deleted.id - 1, about('web-1/0'));
  const states = follower.events.filter(({ id, kind }) => id > since && kind === 'policyStateChanged');
  assert.deepEqual(states, [], 'no state is told between the start and the end of the policy');
});

test('a reader that follows all the time gets every event once, in order, through a kill of the controller', async () => {
  const all = (await lab().api('GET', '/api/v1/events?after=0&limit=1000')).body as EventList;
  await until('all events', () => follower.last >= all.last);
  assert.deepEqual(follower.events.slice(0, all.items.length), all.items);
  assert.deepEqual(
    all.items.map(({ id }) => id),
    all.items.map((_, index) => index + 1),
  );
  assert.equal(follower.stderr.match(/cannot be reached/g)?.length, 1, follower.stderr);
  assert.equal(await follower.stop(), 0);
});

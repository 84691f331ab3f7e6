/** Which programs go to an agent that has just connected. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { emptyProgram, SYNC_PROTOCOL } from '@mirrorplane/contract';
import { programDigest } from '@mirrorplane/contract/program-digest';
import { LiveNodes } from '../../src/reports/live-nodes.ts';
import type { Services } from '../../src/services.ts';
import { AgentSessions } from '../../src/sync/agent-sessions.ts';

type Planned = Services['planning']['planned'] & object;

/** Sessions with one connection of node-1, and what was sent on it. */
function connected() {
  let planned: (result: Planned) => void = () => {};
  const nothing = () => undefined;
  const stored = { value: { revision: 0, digest: '' } };
  const records: Record<string, object> = { nodes: { value: {} }, programs: stored };
  const services = {
    live: new LiveNodes(Date.now),
    view: { get: (folder: string) => records[folder], all: () => new Map() },
    planning: {
      planned: undefined as Planned | undefined,
      onPlanned: (listener: typeof planned) => Object.assign(services, { planned: listener }),
      request: nothing,
      requestAfterGrace: nothing,
      waitDuring: nothing,
    },
    nodeParts: { learn: nothing },
    observer: { connected: nothing, disconnected: nothing },
    tests: { joined: nothing },
    looks: Object.assign(new EventEmitter(), { running: () => [] }),
    authority: { trusted: [], onChange: () => nothing },
    log: { info: nothing, warn: nothing },
    clock: Date.now,
    planned: (result: Planned) => planned(result),
  };
  const sessions = new AgentSessions(services as unknown as Services, nothing);
  planned = services.planned;
  const sent: string[] = [];
  const socket = Object.assign(new EventEmitter(), {
    ...{ readyState: 1, OPEN: 1, ping: nothing, close: nothing, terminate: nothing },
    send: (text: string) => sent.push(text),
  });
  const certificate = { uid: 'u', generation: 0, number: 0 };
  const peer = { node: 'node-1', address: '192.0.2.1', certificate, certificateEndsAt: '2100-01-01T00:00:00Z' };
  sessions.begin(socket as never, peer);
  const say = (message: object) => socket.emit('message', Buffer.from(JSON.stringify(message)), false);
  const close = () => {
    sessions.close();
    socket.emit('close');
  };
  /** @param isStored false: the node was deleted and registered again since */
  const plan = (revision: number, isStored = true) => {
    const program = emptyProgram('node-1', revision);
    if (isStored) {
      stored.value = { revision, digest: programDigest(program) };
    }
    const result = { programs: new Map([['node-1', program]]) } as unknown as Planned;
    services.planning.planned = result;
    planned(result);
  };
  const revisions = () =>
    sent.flatMap((text) => (JSON.parse(text) as { program?: { revision: number } }).program?.revision ?? []);
  return { say, plan, revisions, close, live: services.live };
}

test('a plan from before the hello does not set an agent back to an earlier revision', (t) => {
  const { say, plan, revisions, close } = connected();
  t.after(close);
  const version = { agentVersion: '1', kernel: '6.1' };
  say({ type: 'hello', protocol: SYNC_PROTOCOL, node: 'node-1', ...version, appliedRevision: 2 });
  plan(1);
  assert.deepEqual(revisions(), []);
  plan(3);
  assert.deepEqual(revisions(), [3]);
});

test('what an agent says is read in the order in which it came, though long reports wait for their turn', async (t) => {
  const { say, close, live } = connected();
  t.after(close);
  say({ type: 'hello', protocol: SYNC_PROTOCOL, node: 'node-1', agentVersion: '1', kernel: '6.1' });
  const inventory = (mtu: number, ...ifindexes: number[]) => {
    const devices = ifindexes.map((ifindex) => ({
      ...{ name: `tap${ifindex}`, ifindex, mac: '02:00:00:00:00:01', mtu, up: true, linkType: 'tun' },
    }));
    say({ type: 'inventory', devices });
  };
  const mtus = () => live.get('node-1')?.devices.map(({ mtu }) => mtu);
  const many = Array.from({ length: 4000 }, (_, index) => index + 1);
  inventory(1000, ...many);
  assert.equal(mtus()?.length, 4000, 'the first one uses up its turn');
  inventory(2000, ...many);
  assert.equal(mtus()?.[0], 1000, 'the second one waits');
  inventory(3000, 1);
  assert.deepEqual(mtus(), [3000], 'a short one comes after those before it');
  await turn();
  await turn();
  assert.deepEqual(mtus(), [3000]);
});

test('a program whose number the store does not know any more is not sent', (t) => {
  const { say, plan, revisions, close } = connected();
  t.after(close);
  say({ type: 'hello', protocol: SYNC_PROTOCOL, node: 'node-1', agentVersion: '1', kernel: '6.1' });
  plan(2, false);
  assert.deepEqual(revisions(), []);
  plan(3);
  assert.deepEqual(revisions(), [3]);
});

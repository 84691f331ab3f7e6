import assert from 'node:assert/strict';
import { readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ApplyResult, DatapathState } from '../../src/datapath/datapath.ts';
import {
  attachTcx,
  closeFd,
  detachLink,
  getPinned,
  loadObject,
  programId,
  programsAt,
} from '../../src/datapath/kernel/libbpf.ts';
import { foreignObject } from './support/foreign.ts';
import { enterOwnNamespace, leftPins, link, run, until } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  assertSumsClose,
  capturesOf,
  countsOf,
  createWorld,
  erspanOver,
  localTo,
  stateOf,
  type World,
} from './support/world.ts';

let world: World;
let frame: Buffer;
let state: DatapathState;

before(async () => {
  enterOwnNamespace();
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  world = await createWorld();
  const { vm, dst, by, und } = world.devices;
  state = stateOf({
    captures: [
      ...capturesOf(vm.ifindex, 'L', { source: 'local' }),
      ...capturesOf(by.ifindex, 'E', { source: 'erspan' }),
    ],
    deliveries: [localTo(dst.ifindex), erspanOver(world)],
    mirrorDevice: und.ifindex,
  });
  await world.datapath.apply(state);
});
after(async () => {
  await world?.close();
  assert.deepEqual(leftPins(), []);
});

/** Applies the same state, as an agent does every second, until something was repaired. */
function repaired(): Promise<ApplyResult> {
  return until('repair', async () => {
    const result = await world.datapath.apply(state);
    return result.repaired.length > 0 ? result : undefined;
  });
}

async function copied(source: string): Promise<number> {
  const report = await world.datapath.counters();
  assertSumsClose(report);
  return countsOf(report, 'outbound', source).copied.packets;
}

/** A frame from the VM is copied to the local destination. */
async function assertCopies(): Promise<void> {
  const before = await copied('local');
  await sniffing(['farp', 'dstp'], async (sniffers) => {
    world.guest.send(frame);
    for (const sniffer of sniffers) assert.equal((await sniffer.expect(1)).length, 1);
  });
  assert.equal(await copied('local'), before + 1);
}

const links = () => join(world.bpffs, 'links');
const keyOf = (program: string) => readdirSync(links()).find((key) => key.endsWith(program))!;

test('nothing is repaired where nobody interfered', async () => {
  const end = performance.now() + 1500;
  while (performance.now() < end) {
    const { attached, detached, written, repaired: repairs } = await world.datapath.apply(state);
    assert.deepEqual([attached, detached, written, repairs], [0, 0, 0, []]);
  }
  await assertCopies();
});

test('a program that somebody detaches is attached again', async () => {
  const ingress = `ingress-${world.devices.vm.ifindex}-capture_ingress`;
  const fd = getPinned(join(links(), ingress))!;
  detachLink(fd);
  closeFd(fd);
  assert.deepEqual(programsAt(world.devices.vm.ifindex, 'ingress'), []);
  const { repaired: repairs, attached } = await repaired();
  const { ifindex } = world.devices.vm;
  assert.deepEqual(repairs, [{ kind: 'takenOff', program: 'capture_ingress', ifindex, count: 1 }]);
  assert.equal(attached, 1);
  await assertCopies();
});

test('a link whose pin somebody removes stays, and is pinned again', async () => {
  unlinkSync(join(links(), keyOf('capture_ingress')));
  await assertCopies();
  assert.equal((await repaired()).attached, 0);
  assert.ok(keyOf('capture_ingress'));
});

test('pins of maps and programs that somebody removes come back', async () => {
  const before = readdirSync(world.bpffs);
  const programs = join(world.bpffs, before.find((name) => name.startsWith('programs-'))!);
  const names = readdirSync(programs);
  unlinkSync(join(world.bpffs, 'maps', 'captures'));
  for (const name of names) unlinkSync(join(programs, name));
  rmdirSync(programs);
  assert.deepEqual((await repaired()).repaired, [{ kind: 'unpinned', count: 1 + names.length }]);
  assert.deepEqual(readdirSync(programs).sort(), names.sort());
  assert.ok(readdirSync(join(world.bpffs, 'maps')).includes('captures'));
  await assertCopies();
});

test('a helper device that somebody deletes is made anew, and ERSPAN goes on', async () => {
  run('ip', 'link', 'del', 'mirror0');
  assert.deepEqual((await repaired()).repaired[0], { kind: 'helperGone', count: 1 });
  assert.ok(link('mirror0').ifindex > 0);
  const before = await copied('erspan');
  const bystander = new RawSocket('byp');
  await sniffing(['undp'], async ([outer]) => {
    bystander.send(frame);
    bystander.close();
    assert.equal((await outer.expect(1)).length, 1);
  });
  assert.equal(await copied('erspan'), before + 1);
});

test('where somebody attaches in front and ends the chain, ours comes first again, and theirs stays', async () => {
  const object = loadObject(foreignObject(), {});
  const program = object.program('end_chain');
  const { ifindex } = world.devices.vm;
  const theirs = attachTcx(program, ifindex, 'ingress');
  try {
    assert.equal(programsAt(ifindex, 'ingress')[0], programId(program));
    const { repaired: repairs } = await repaired();
    assert.deepEqual(repairs, [{ kind: 'pushedBack', program: 'capture_ingress', ifindex, count: 1 }]);
    const order = programsAt(ifindex, 'ingress');
    assert.equal(order.length, 2);
    assert.equal(order[1], programId(program));
    await assertCopies();
  } finally {
    detachLink(theirs);
    closeFd(theirs);
    object.close();
  }
});

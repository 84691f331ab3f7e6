/** Rules for every data path: the same tests run on the fake and on the real data path. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CounterReport } from '@mirrorplane/contract';
import type { Datapath, DatapathState, DeliveryEntry, HookCapture } from '../src/datapath/datapath.ts';

/** Parts that a data path is tested with. */
export interface DatapathFixture {
  /**
   * Makes a data path on the same kernel state at each call, as an agent that starts again does.
   */
  create(): Datapath;
  /** ifindexes of at least four Ethernet devices that exist and are up. */
  devices: number[];
  /** An ifindex on which a capture is refused. */
  refused: number;
  /** Removes what the fixture made. */
  dispose?(): void | Promise<void>;
}

const EMPTY: DatapathState = { captures: [], deliveries: [], terminations: [], mirrorDevice: 0 };

/** Declares the tests. `factory` is called once, before they run. */
export function datapathContract(name: string, factory: () => DatapathFixture | Promise<DatapathFixture>): void {
  describe(name, { concurrency: false }, () => {
    let fixture: DatapathFixture;
    let datapath: Datapath;
    let tap: number;
    let tap2: number;
    let ids: number;
    let underlay: number;

    before(async () => {
      fixture = await factory();
      [tap, tap2, ids, underlay] = fixture.devices as [number, number, number, number];
      datapath = fixture.create();
      await datapath.open();
    });
    after(async () => {
      await datapath?.uninstall();
      datapath?.close();
      await fixture?.dispose?.();
    });

    const local = (more: Partial<DeliveryEntry> = {}): DeliveryEntry =>
      ({ id: 'p1/local', policy: 'p1', kind: 'local', ifindex: ids, mtu: 1500, ...more }) as DeliveryEntry;
    const erspan = (more: object = {}): DeliveryEntry => ({
      id: 'p1/erspan',
      policy: 'p1',
      kind: 'erspan',
      ifindex: underlay,
      mtu: 1500,
      sourceAddress: '10.98.0.11',
      address: '10.98.0.12',
      session: 7,
      generation: 0,
      ...more,
    });
    const capture = (direction: 'inbound' | 'outbound', more: Partial<HookCapture> = {}): HookCapture => ({
      id: `p1/web-1/0/${direction}`,
      policy: 'p1',
      source: 'web-1/0',
      direction,
      ifindex: tap,
      hook: direction === 'inbound' ? 'egress' : 'ingress',
      threshold: 2 ** 32,
      skipVlanId: 0,
      sourceSlot: 0,
      delivery: 'p1/local',
      ...more,
    });
    const both = (more: Partial<HookCapture> = {}) => [capture('inbound', more), capture('outbound', more)];
    const state = (more: Partial<DatapathState>): DatapathState => ({ ...EMPTY, deliveries: [local()], ...more });
    const unchanged = async (desired: DatapathState) => {
      const { attached, detached, written } = await datapath.apply(desired);
      assert.deepEqual({ attached, detached, written }, { attached: 0, detached: 0, written: 0 });
    };
    const named = ({ captures }: CounterReport) =>
      captures.map(({ source, direction }) => `${source} ${direction}`).sort();

    test('takes captures, and reports how much it did', async () => {
      await datapath.apply(EMPTY);
      const result = await datapath.apply(state({ captures: both() }));
      assert.deepEqual(result.refused, []);
      assert.ok(result.attached >= 2, `attached ${result.attached}`);
      assert.ok(result.written >= 3, `written ${result.written}`);
      assert.equal(result.detached, 0);
    });

    test('applying the same state again changes nothing', async () => {
      const desired = state({ captures: both() });
      await datapath.apply(desired);
      await unchanged(desired);
      await unchanged(structuredClone(desired));
    });

    test('a changed percent is written without attaching anything', async () => {
      await datapath.apply(state({ captures: both() }));
      const result = await datapath.apply(state({ captures: both({ threshold: 2 ** 30 }) }));
      assert.deepEqual([result.attached, result.detached], [0, 0]);
      assert.ok(result.written >= 1);
    });

    test('one direction alone is taken off', async () => {
      await datapath.apply(state({ captures: both() }));
      const desired = state({ captures: [capture('inbound')] });
      const result = await datapath.apply(desired);
      assert.deepEqual([result.attached, result.detached], [0, 1]);
      await unchanged(desired);
    });

    test('a source that moves to another device is taken off the old one', async () => {
      await datapath.apply(state({ captures: both() }));
      const desired = state({ captures: both({ ifindex: tap2 }) });
      const result = await datapath.apply(desired);
      assert.deepEqual([result.attached, result.detached], [2, 2]);
      await unchanged(desired);
    });

    test('a resting capture is accepted, and keeps its counters by name', async () => {
      const desired = state({ captures: both({ ifindex: 0 }) });
      const result = await datapath.apply(desired);
      assert.deepEqual(result.refused, []);
      assert.deepEqual(named(await datapath.counters()), ['web-1/0 inbound', 'web-1/0 outbound']);
      await unchanged(desired);
    });

    test('a capture that is refused is reported, and all others are in force', async () => {
      const other = both({ ifindex: tap2, source: 'db-1/0' }).map((entry) => ({
        ...entry,
        id: `p1/db-1/0/${entry.direction}`,
      }));
      const refused = capture('inbound', { ifindex: fixture.refused });
      await datapath.apply(EMPTY);
      const result = await datapath.apply(state({ captures: [refused, ...other] }));
      assert.deepEqual(
        result.refused.map(({ id, ifindex }) => [id, ifindex]),
        [[refused.id, fixture.refused]],
      );
      assert.match(result.refused[0]!.code, /^(ATTACH_FAILED|HOOK_OCCUPIED|DEVICE_UNSUPPORTED)$/);
      assert.notEqual(result.refused[0]!.message, '');
      assert.ok(result.attached >= 2);
    });

    test('takes ERSPAN, edge and termination together, and changes a delivery alone', async () => {
      const edge: DeliveryEntry = { id: 'p2/edge', policy: 'p2', kind: 'edge', ifindex: ids, mtu: 1500, vlanId: 100 };
      const termination = {
        id: 't1',
        policy: 'p3',
        node: 'node-2',
        address: '10.98.0.12',
        ownAddress: '10.98.0.11',
        session: 9,
        generation: 0,
        delivery: 'p3/local',
      };
      const build = (more: object) =>
        state({
          captures: both({ delivery: 'p1/erspan' }),
          deliveries: [erspan(more), edge, local({ id: 'p3/local', policy: 'p3' })],
          terminations: [termination],
          mirrorDevice: underlay,
        });
      await datapath.apply(build({}));
      await unchanged(build({}));
      const result = await datapath.apply(build({ generation: 1 }));
      assert.deepEqual([result.attached, result.detached], [0, 0]);
      assert.ok(result.written >= 1);
      const report = await datapath.counters();
      const deliveries = new Set(report.deliveries.map(({ delivery }) => delivery));
      assert.ok(
        ['p1/erspan', 'p2/edge', 'p3/local'].every((id) => deliveries.has(id)),
        [...deliveries].join(),
      );
      assert.deepEqual(
        report.terminations.map(({ termination: id, node, policy }) => [id, node, policy]),
        [['t1', 'node-2', 'p3']],
      );
    });

    test('a delivery whose device has gone is accepted', async () => {
      const desired = state({ captures: both(), deliveries: [local({ ifindex: 0, mtu: 0 })] });
      await datapath.apply(desired);
      await unchanged(desired);
    });

    test('a capture that names no delivery of the state is a mistake, and throws', async () => {
      await assert.rejects(datapath.apply({ ...EMPTY, captures: both({ delivery: 'nowhere' }) }));
    });

    test('counters tell policy, source and direction, and begin at zero for a new policy', async () => {
      await datapath.apply(EMPTY);
      const fresh = both({ policy: 'p9' }).map((entry) => ({ ...entry, id: `p9/web-1/0/${entry.direction}` }));
      await datapath.apply(state({ captures: fresh }));
      const all = await datapath.counters();
      // Detached captures may still be reported for a while, so that a reader does not miss their
      // last packets.
      const report = { ...all, captures: all.captures.filter(({ policy }) => policy === 'p9') };
      assert.deepEqual(named(report), ['web-1/0 inbound', 'web-1/0 outbound']);
      for (const { counts } of report.captures) {
        assert.deepEqual(counts.copied, { packets: 0, bytes: 0 });
      }
      assert.equal(report.unknownErspan, 0);
    });

    test('a data path that is closed and made anew takes over what is there', async () => {
      const desired = state({ captures: both() });
      await datapath.apply(desired);
      const { epoch } = await datapath.counters();
      datapath.close();
      datapath = fixture.create();
      await datapath.open();
      const result = await datapath.apply(desired);
      assert.deepEqual([result.attached, result.detached], [0, 0]);
      assert.equal((await datapath.counters()).epoch, epoch);
    });

    test('the empty state takes everything off', async () => {
      await datapath.apply(state({ captures: both() }));
      const result = await datapath.apply(EMPTY);
      assert.ok(result.detached >= 2);
      await unchanged(EMPTY);
    });

    test('after uninstall it can be opened again, with a new epoch', async () => {
      await datapath.apply(state({ captures: both() }));
      const { epoch } = await datapath.counters();
      await datapath.uninstall();
      datapath.close();
      datapath = fixture.create();
      await datapath.open();
      const result = await datapath.apply(state({ captures: both() }));
      assert.ok(result.attached >= 2);
      assert.notEqual((await datapath.counters()).epoch, epoch);
    });
  });
}

/** Moves a VM that is a network namespace to another node, step by step as a hypervisor does. */
import { namespaceOf } from './build.ts';
import { guestLines, linkLine, nodeVmFdbLines, nodeVmLines, overlayPort, tapMac } from './links.ts';
import { heredoc, ipBatch, script } from './netns.ts';
import type { LabVm, Topology } from './topology.ts';

/** Times of the steps of a migration: milliseconds since 1970, by the clock of this machine. */
export interface MigrationTimes {
  /** The device on the new node existed, with its identity. */
  deviceAdded: number;
  /**
   * The guest stopped on the old node, and ran on the new one. Null for a namespace, because its
   * processes never stop.
   */
  stopped: number | null;
  resumed: number | null;
  /** The device on the old node was gone. */
  deviceRemoved: number;
}

/** Options of a migration. */
export interface MigrateOptions {
  /**
   * True: the device on the new node appears before the device on the old node is removed, as in a
   * live migration. For a moment the interface has two devices. Default false: for a moment it has
   * no device. A QEMU machine always moves with overlap.
   */
  overlap?: boolean;
  /**
   * QEMU machines only: awaited when the device on the new node exists and the guest still runs on
   * the old node.
   */
  beforeSwitchOver?: () => unknown;
  /**
   * QEMU machines only: awaited when the guest runs on the new node and the device on the old node
   * still exists.
   */
  afterSwitchOver?: () => unknown;
}

/**
 * Moves a VM's NIC to another node: its old device is removed, and a new one with the same alias,
 * MAC and addresses appears. The veth pair is a new one, because tc programs and counters of the
 * old device must not move with it. Processes in the VM continue. `topology` is the one after the
 * move.
 */
export async function moveVm(
  lab: string,
  topology: Topology,
  before: LabVm,
  after: LabVm,
  options: MigrateOptions = {},
): Promise<MigrationTimes> {
  const host = namespaceOf(lab, after.host);
  const node = namespaceOf(lab, after.node);
  const fresh = options.overlap ? 'moving0' : after.guestDevice;
  const remove = [`link delete ${before.guestDevice}`];
  const add = linkLine([host, fresh, after.mac], [node, after.device, tapMac(after)]);

  let deviceRemoved = 0;
  const removed = () => {
    deviceRemoved = Date.now();
  };
  if (!options.overlap) {
    await ipBatch(host, remove).then(removed);
  }
  await script(node, [
    // In one batch, as an orchestrator does: identity and bridge follow the device at once.
    ...heredoc('ip -batch -', [add, ...nodeVmLines(after)]),
    ...heredoc('bridge -batch -', nodeVmFdbLines(after, after.node)),
  ]);
  const deviceAdded = Date.now();
  const rename = options.overlap ? [...remove, `link set ${fresh} name ${after.guestDevice}`] : [];
  await ipBatch(host, [...rename, ...guestLines(topology, after)]);
  if (options.overlap) {
    removed();
  }
  const times = { deviceAdded, stopped: null, resumed: null, deviceRemoved };
  if (after.bridge === null) {
    return times;
  }
  // Last, as in a real network: from now on frames for the VM reach its new place.
  await script(namespaceOf(lab, 'fabric'), [
    ...heredoc('bridge -batch -', [`fdb replace ${after.mac} dev ${overlayPort(after)} master static`]),
  ]);
  await script(namespaceOf(lab, before.node), heredoc('bridge -batch -', nodeVmFdbLines(after, before.node)));
  return times;
}

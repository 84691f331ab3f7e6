import { namespaceOf } from './build.ts';
import { guestLines, linkLine, nodeVmFdbLines, nodeVmLines, overlayPort } from './links.ts';
import { labMac, MAC_GROUP } from './mac.ts';
import { heredoc, ipBatch, script } from './netns.ts';
import type { LabVm, Topology } from './topology.ts';

/** How a VM moves. */
export interface MigrateOptions {
  /**
   * The device on the new node appears before the one on the old node goes, as in a live migration: for a moment the
   * interface has two. Default false: it goes first, and for a moment there is none.
   */
  overlap?: boolean;
}

/**
 * Moves a VM's NIC to another node: its device there vanishes and a new one with the same alias, MAC and addresses
 * appears. A new veth pair rather than a moved one, because what hangs on a device (tc programs, counters) must not
 * move along. Processes in the VM go on; `topology` is the one after the move.
 */
export async function moveVm(
  lab: string,
  topology: Topology,
  before: LabVm,
  after: LabVm,
  options: MigrateOptions = {},
): Promise<void> {
  const host = namespaceOf(lab, after.host);
  const node = namespaceOf(lab, after.node);
  const fresh = options.overlap ? 'moving0' : after.guestDevice;
  const remove = [`link delete ${before.guestDevice}`];
  const add = linkLine([host, fresh, after.mac], [node, after.device, labMac(MAC_GROUP.tap, after.index)]);

  if (!options.overlap) await ipBatch(host, remove);
  await ipBatch(null, [add]);
  await script(node, [
    ...heredoc('ip -batch -', nodeVmLines(after)),
    ...heredoc('bridge -batch -', nodeVmFdbLines(after, after.node)),
  ]);
  const rename = options.overlap ? [...remove, `link set ${fresh} name ${after.guestDevice}`] : [];
  await ipBatch(host, [...rename, ...guestLines(topology, after)]);
  if (after.bridge === null) return;
  // Last, as a real network learns it: from now on frames for the VM find the new place.
  await script(namespaceOf(lab, 'fabric'), [
    ...heredoc('bridge -batch -', [`fdb replace ${after.mac} dev ${overlayPort(after)} master static`]),
  ]);
  await script(namespaceOf(lab, before.node), heredoc('bridge -batch -', nodeVmFdbLines(after, before.node)));
}

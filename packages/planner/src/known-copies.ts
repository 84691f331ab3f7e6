/** Whether the nodes that copies may come back to recognise them, so that a capture may begin. */
import type { Capture, GuestCopies } from '@mirrorplane/contract';
import { type InForce, type PlannedProgram, partsOf, remembered } from './programs.ts';

/**
 * How a node recognises copies with a VLAN ID: by the ID alone, one by one, or by MAC addresses.
 * Undefined: not.
 */
type Told = 'vlan' | 'own' | GuestCopies | undefined;

function toldBy({ copyVlans, ownCopyVlans, guestCopies }: PlannedProgram, vlanId: number): Told {
  if (!copyVlans.includes(vlanId)) {
    return undefined;
  }
  return guestCopies?.find((copies) => copies.vlanId === vlanId) ?? (ownCopyVlans?.includes(vlanId) ? 'own' : 'vlan');
}

/** Whether a program recognises all copies with the VLAN ID that `wanted` recognises. */
function takesAll(program: PlannedProgram, wanted: PlannedProgram, vlanId: number): boolean {
  const [has, wants] = [toldBy(program, vlanId), toldBy(wanted, vlanId)];
  if (typeof has !== 'object' || typeof wants !== 'object') {
    return wants === undefined || has === 'vlan' || (has === 'own' && wants === 'own');
  }
  const macs = new Set(has.macs);
  return [wants.direction, 'all'].includes(has.direction) && wants.macs.every((mac) => macs.has(mac));
}

const hasEdges = remembered((captures: readonly Capture[]) => captures.some(({ kind }) => kind === 'edge'));
const mirrorsEdges = remembered((program: PlannedProgram) =>
  partsOf(program).some(({ captures }) => hasEdges(captures)),
);

/**
 * Whether all connected nodes that mirror edges recognise copies with a VLAN ID as planned,
 * whichever of the programs that they were told they run.
 */
export function copiesAreKnown(
  planned: ReadonlyMap<string, PlannedProgram>,
  inForce: ReadonlyMap<string, InForce>,
): (sender: string, vlanId: number) => boolean {
  const mirroring = [...planned].filter(([node, program]) => inForce.get(node)?.connected && mirrorsEdges(program));
  const known = new Map<string, boolean>();
  const isKnown = (node: string, wanted: PlannedProgram, vlanId: number): boolean => {
    const key = `${node} ${vlanId}`;
    const { confirmed, possible = [] } = inForce.get(node) ?? {};
    const found =
      known.get(key) ??
      (confirmed !== undefined && [confirmed, ...possible].every((one) => takesAll(one, wanted, vlanId)));
    known.set(key, found);
    return found;
  };
  // A sender that mirrors an edge itself gets both with one program.
  return (sender, vlanId) => mirroring.every(([node, wanted]) => node === sender || isKnown(node, wanted, vlanId));
}

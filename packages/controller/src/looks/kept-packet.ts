/** Packets of a look as nodes tell them, and as the controller keeps them. */
import type { HeardDrop, LookedPacket, LookTotals, LookUnseen } from '@mirrorplane/contract';

/** A packet of a look that the controller keeps, with its first bytes. */
export type KeptPacket = LookedPacket & { bytes: Buffer };

/** A packet as a node tells it. */
export type SeenPacket = Omit<KeptPacket, 'number' | 'node' | 'interfaceName' | 'original' | 'lostBefore'>;

/** What a node tells of a look at a time. */
export interface LookFeed {
  packets?: readonly SeenPacket[];
  drops?: readonly HeardDrop[];
  /** Since the look began on the node. Smaller ones than before: it began again. */
  counts?: Omit<LookTotals, 'received'>;
  /** All places where it sees nothing now. */
  unseen?: readonly LookUnseen[];
}

/** Packets of a look as nodes tell them, and as the controller keeps them. */
import type { BatchDrop, HeardDrop, LookBatch, LookedPacket, LookUnseen } from '@mirrorplane/contract';

/** A packet of a look that the controller keeps, with its first bytes. */
export type KeptPacket = LookedPacket & { bytes: Buffer };

/** A packet as a node tells it. */
export type SeenPacket = Omit<KeptPacket, 'number' | 'node' | 'interfaceName' | 'original' | 'lostBefore'>;

/** A drop that the controller keeps, with the first bytes of its frame. */
export type KeptDrop = HeardDrop & Pick<BatchDrop, 'length' | 'gsoSize'> & { bytes: Buffer };

/** What a node tells of a look at a time. */
export interface LookFeed {
  /** Another one than before: the look began again on the node, and counts from 0. */
  run?: number;
  packets?: readonly SeenPacket[];
  drops?: readonly KeptDrop[];
  /** Since the look began on the node. */
  counts?: LookBatch['counts'];
  /** All places where it sees nothing now. */
  unseen?: readonly LookUnseen[];
  /** Why the node hears no drops. */
  unheard?: string | undefined;
  /** Packets that were left out, because their interfaces are not the node's. */
  unbelieved?: number;
}

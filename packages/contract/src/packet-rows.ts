/** Packets of a look as people read them: rows of a list, and the fields of one packet. */
import * as z from 'zod';
import { Look } from './look.ts';
import { LookedPacket, OriginalFate } from './looked-packet.ts';

/** Bounds of the tree of a packet. */
export const PACKET_TREE_LIMITS = { nodes: 4000, depth: 24, filter: 256 } as const;

/** Characters of a display filter. */
export const MAX_DISPLAY_FILTER = 512;

/**
 * Why packets are not decoded.
 * - `notInstalled`: the host of the controller has no decoder, or nothing to keep it apart.
 * - `busy`: as many decoders run as may.
 * - `failing`: it has ended again and again.
 */
export const DECODER_ABSENCES = ['notInstalled', 'busy', 'failing'] as const;

/** Whether packets are decoded. Where they are not, columns have what a simple reading gives. */
export const DecoderState = z
  .object({
    state: z.enum(['ok', 'absent', 'restarted']).meta({
      description: 'restarted: it has ended and runs again. Rows of this message have simple columns.',
    }),
    why: z.enum(DECODER_ABSENCES).optional().meta({ description: 'Of absent.' }),
    message: z.string().optional().meta({ description: 'What happened, and what to do.' }),
  })
  .meta({ id: 'DecoderState' });
export type DecoderState = z.infer<typeof DecoderState>;

/** What a decoder says of a packet in a line. No text has control characters. */
export const PacketColumns = z
  .object({ source: z.string(), destination: z.string(), protocol: z.string(), info: z.string() })
  .meta({ id: 'PacketColumns' });
export type PacketColumns = z.infer<typeof PacketColumns>;

export const PacketRow = z.object({ packet: LookedPacket, columns: PacketColumns }).meta({ id: 'PacketRow' });
export type PacketRow = z.infer<typeof PacketRow>;

const count = z.number().int().nonnegative();

/** A message of the stream of rows. */
export const PacketRows = z
  .object({
    rows: z.array(PacketRow).meta({ description: 'New packets that the display filter shows.' }),
    originals: z
      .array(z.object({ number: count, original: OriginalFate }))
      .meta({ description: 'Packets that were sent before, and of which more is known now.' }),
    last: count.meta({ description: 'Number of the last packet that was looked at for this stream.' }),
    hidden: count.meta({ description: 'Packets that the display filter hides, since the stream began.' }),
    skipped: count.meta({
      description: 'Packets that were not kept long enough for this stream, since it began.',
    }),
    decoder: DecoderState,
    look: Look.optional().meta({ description: 'The look, when it has changed.' }),
  })
  .meta({ id: 'PacketRows' });
export type PacketRows = z.infer<typeof PacketRows>;

/** A field of a packet, or a layer. */
export interface PacketTreeNode {
  label: string;
  /** Where in the packet: first byte, and how many. */
  bytes?: [number, number] | undefined;
  /** A display filter that finds packets with the same value. */
  filter?: string | undefined;
  /** True: it does not stand in the packet; the decoder has worked it out. */
  derived?: boolean | undefined;
  children: PacketTreeNode[];
}
export const PacketTreeNode: z.ZodType<PacketTreeNode> = z
  .object({
    label: z.string(),
    bytes: z
      .tuple([count, count])
      .optional()
      .meta({ description: 'Where in the packet: its first byte, and how many.' }),
    filter: z.string().optional().meta({ description: 'A display filter that finds packets with the same value.' }),
    derived: z
      .boolean()
      .optional()
      .meta({ description: 'True: it does not stand in the packet; the decoder has worked it out.' }),
    get children() {
      return z.array(PacketTreeNode);
    },
  })
  .meta({ id: 'PacketTreeNode' });

export const PacketDetail = z
  .object({
    packet: LookedPacket,
    bytes: z.string().meta({ description: 'The bytes that the look has, in hexadecimal.' }),
    tree: z.array(PacketTreeNode).optional().meta({ description: 'Absent: there is no decoder, see `decoder`.' }),
    decoder: DecoderState,
  })
  .meta({ id: 'PacketDetail' });
export type PacketDetail = z.infer<typeof PacketDetail>;

const CheckedText = z.object({
  ok: z.boolean(),
  message: z.string().optional().meta({ description: 'Why it is none, and what to write.' }),
  position: count.optional().meta({ description: 'Characters before the wrong word, where they are known.' }),
});

/** Whether capture words and a display filter can be used. */
export const LookCheck = z
  .object({
    words: CheckedText.optional(),
    display: CheckedText.optional(),
    decoder: DecoderState.optional().meta({ description: 'Of the display filter. absent: it was not checked.' }),
  })
  .meta({ id: 'LookCheck' });
export type LookCheck = z.infer<typeof LookCheck>;

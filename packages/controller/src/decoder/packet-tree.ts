/** The tree of a packet's fields, as sharkd has it, made small and harmless. Pure. */
import { PACKET_TREE_LIMITS, type PacketTreeNode } from '@mirrorplane/contract';
import * as z from 'zod';
import { shownText } from './columns.ts';

/** A node of sharkd: label, bytes, filter, frame that it speaks of, nodes below it. */
const SharkdNode = z.looseObject({
  l: z.string().default(''),
  h: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]).optional(),
  f: z.string().optional(),
  fnum: z.number().int().optional(),
  g: z.boolean().optional(),
  get n(): z.ZodOptional<z.ZodArray<typeof SharkdNode>> {
    return z.array(SharkdNode).optional();
  },
});
type SharkdNode = z.infer<typeof SharkdNode>;

/** Layers that say what we say in words of our own: where and when a packet was seen. */
const OURS = new Set(['frame', 'pkt_comment']);

/**
 * @param answer of sharkd's method `frame`
 * @param numberOf the look's number of a frame of the snapshot
 * @param captured bytes of the packet that there are
 * @throws ZodError for what is no tree
 */
export function packetTree(
  answer: unknown,
  { numberOf, captured }: { numberOf: (frame: number) => number | undefined; captured: number },
): PacketTreeNode[] {
  const { tree } = z.looseObject({ tree: z.array(SharkdNode) }).parse(answer);
  let left: number = PACKET_TREE_LIMITS.nodes;
  const make = (node: SharkdNode, depth: number): PacketTreeNode | undefined => {
    if (left === 0 || depth > PACKET_TREE_LIMITS.depth) {
      return undefined;
    }
    left--;
    const { l, h, f, fnum, g, n = [] } = node;
    const bytes = h !== undefined && h[1] > 0 && h[0] + h[1] <= captured ? h : undefined;
    return {
      label: shownText(fnum === undefined ? l : l.replace(`${fnum}`, `${numberOf(fnum) ?? '?'}`)),
      ...(bytes && { bytes }),
      ...(f !== undefined && f.length <= PACKET_TREE_LIMITS.filter && { filter: shownText(f) }),
      ...(g && { derived: true }),
      children: n.map((child) => make(child, depth + 1)).filter((child) => child !== undefined),
    };
  };
  return tree
    .filter(({ f = '' }) => !OURS.has(f))
    .map((node) => make(node, 1))
    .filter((node) => node !== undefined);
}

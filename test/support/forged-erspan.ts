/** ERSPAN type II as an outsider makes it, who knows the addresses of nodes and no secret. */
import { MAX_SESSION } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';
import { deviceOf } from './exact-datapath.ts';

/** What the forged copies carry: a frame that nobody else sends. */
export const FORGED_SOURCE = '02f0f0f0f0f0';
const INNER = `ffffffffffff${FORGED_SOURCE}88b5${'00'.repeat(46)}`;

/** One packet for every session that there is, as if `from` had sent it to `to`. In hex. */
export async function forgedCopies(lab: Lab, { from, to }: { from: string; to: string }): Promise<string[]> {
  const [source, target] = [from, to].map((node) => lab.node(node).underlayAddress) as [string, string];
  const ip = Buffer.alloc(20);
  ip.writeUInt16BE(0x4500, 0);
  ip.writeUInt16BE(36 + INNER.length / 2, 2);
  ip.writeUInt16BE(0x4000, 6); // do not fragment
  ip.writeUInt16BE(0xff2f, 8); // TTL 255, GRE
  for (const [address, at] of [[source, 12] as const, [target, 16] as const]) {
    Buffer.from(address.split('.').map(Number)).copy(ip, at);
  }
  const sum = Array.from({ length: 10 }, (_, i) => ip.readUInt16BE(2 * i)).reduce((a, b) => a + b, 0);
  ip.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  const [own, other] = await Promise.all([to, from].map((node) => deviceOf(lab, node, 'underlay0')));
  const ethernet = `${own!.mac}${other!.mac}0800`.replaceAll(':', '');
  return Array.from({ length: MAX_SESSION }, (_, i) => {
    const erspan = (0x1000_0000 + i + 1).toString(16);
    return `${ethernet}${ip.toString('hex')}100088be00000000${erspan}00000000${INNER}`;
  });
}

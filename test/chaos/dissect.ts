/** Identifies a captured packet: a numbered frame, plain or in ERSPAN, or another packet. Pure. */
import type { Packet } from './pcap.ts';

/**
 * Begins the payload of numbered frames; the number of the run, of the flow and of the frame
 * follow, in network order.
 */
export const MARK = Buffer.from('MPCH');
const NUMBERS = 12;

const IPV4 = 0x0800;
const VLAN = 0x8100;
export const RAW_ETHERTYPE = 0x88b5;
const UDP = 17;
const GRE = 47;
/** GRE with a sequence number, protocol ERSPAN type II. */
const ERSPAN_2 = 0x100088be;
const GRE_HEADER = 8;
const ERSPAN_HEADER = 8;

/** The outer packet of ERSPAN. */
export interface Outer {
  /** Bytes of the IP packet. */
  length: number;
  /** True where it is a fragment, or may become some. */
  fragment: boolean;
  truncated: boolean;
  session: number;
}

/** A frame with a number, as it was seen on a device. */
export interface Numbered {
  run: number;
  flow: number;
  sequence: number;
  /** VLAN IDs, the outermost first. */
  vlans: number[];
  /** MAC address of the sender of the frame, not of the outer one. */
  sender: string;
  /** EtherType after the tags, and the following bytes. */
  etherType: number;
  body: Buffer;
  /** Bytes of `body` on the wire. */
  length: number;
  outer?: Outer;
}

/** Reads a packet. `erspan` alone: it is ERSPAN around something without a number. */
export function dissect({ etherType, body, length, sender }: Packet): { numbered?: Numbered; outer?: Outer } {
  const plain = numberedOf(etherType, body, length, sender);
  if (plain) {
    return { numbered: plain };
  }
  if (etherType !== IPV4 || body.length < 20 || body[9] !== GRE) {
    return {};
  }
  const header = (body[0]! & 15) * 4;
  if (body.length < header + GRE_HEADER + ERSPAN_HEADER || body.readUInt32BE(header) !== ERSPAN_2) {
    return {};
  }
  const word = body.readUInt32BE(header + GRE_HEADER);
  const fragment = body.readUInt16BE(6);
  const outer: Outer = {
    length: body.readUInt16BE(2),
    fragment: (fragment & 0x3fff) !== 0 || (fragment & 0x4000) === 0,
    truncated: ((word >> 10) & 1) === 1,
    session: word & 1023,
  };
  const at = header + GRE_HEADER + ERSPAN_HEADER;
  const inner = body.subarray(at);
  if (inner.length < 14) {
    return { outer };
  }
  const numbered = numberedOf(
    inner.readUInt16BE(12),
    inner.subarray(14),
    outer.length - at - 14,
    inner.toString('hex', 6, 12),
  );
  return numbered ? { numbered: { ...numbered, outer }, outer } : { outer };
}

function numberedOf(etherType: number, body: Buffer, length: number, sender: string): Numbered | undefined {
  const vlans: number[] = [];
  while (etherType === VLAN && body.length >= 4) {
    vlans.push(body.readUInt16BE(0) & 0xfff);
    etherType = body.readUInt16BE(2);
    body = body.subarray(4);
    length -= 4;
  }
  let payload = body;
  if (etherType === IPV4) {
    if (body.length < 28 || body[9] !== UDP) {
      return undefined;
    }
    payload = body.subarray((body[0]! & 15) * 4 + 8);
  } else if (etherType !== RAW_ETHERTYPE) {
    return undefined;
  }
  if (payload.length < MARK.length + NUMBERS || !payload.subarray(0, MARK.length).equals(MARK)) {
    return undefined;
  }
  const [run, flow, sequence] = [0, 4, 8].map((offset) => payload.readUInt32BE(MARK.length + offset));
  return { run: run!, flow: flow!, sequence: sequence!, vlans, sender, etherType, body, length };
}

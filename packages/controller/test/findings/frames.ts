/** Frames of IPv4, made byte by byte. */

/** A guest's NIC. */
export interface Nic {
  mac: string;
  address: string;
}

/** TCP of a frame. */
export interface Tcp {
  sourcePort: number;
  targetPort: number;
  sequence?: number;
  acknowledged?: number;
  /** Letters of flags: S, A, F, R, P. */
  flags?: string;
  window?: number;
  data?: number;
}

const FLAGS = { F: 1, S: 2, R: 4, P: 8, A: 16 };

/** A frame of TCP; `id` is that of IPv4. */
export function tcpFrame(from: Nic, to: Nic, tcp: Tcp, id = 1): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(tcp.sourcePort, 0);
  header.writeUInt16BE(tcp.targetPort, 2);
  header.writeUInt32BE((tcp.sequence ?? 0) >>> 0, 4);
  header.writeUInt32BE((tcp.acknowledged ?? 0) >>> 0, 8);
  header[12] = 5 << 4;
  header[13] = [...(tcp.flags ?? 'A')].reduce((bits, flag) => bits | FLAGS[flag as keyof typeof FLAGS], 0);
  header.writeUInt16BE(tcp.window ?? 1000, 14);
  return ipFrame(from, to, 6, Buffer.concat([header, Buffer.alloc(tcp.data ?? 0, 0x61)]), id);
}

/** A frame of UDP with so many bytes. */
export function udpFrame(from: Nic, to: Nic, ports: [number, number], data: number, id = 1): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(ports[0], 0);
  header.writeUInt16BE(ports[1], 2);
  header.writeUInt16BE(8 + data, 4);
  return ipFrame(from, to, 17, Buffer.concat([header, Buffer.alloc(data, 0x62)]), id);
}

/** A ping, or its answer. */
export function pingFrame(from: Nic, to: Nic, sequence: number, { answer = false, data = 56 } = {}): Buffer {
  const header = Buffer.alloc(8);
  header[0] = answer ? 0 : 8;
  header.writeUInt16BE(77, 4);
  header.writeUInt16BE(sequence, 6);
  return ipFrame(from, to, 1, Buffer.concat([header, Buffer.alloc(data)]), sequence);
}

/** An error of ICMP about a frame of IPv4: a port, or a host, that cannot be reached. */
export function unreachableFrame(from: Nic, to: Nic, about: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.set([3, 3]);
  return ipFrame(from, to, 1, Buffer.concat([header, about.subarray(14, 14 + 28)]));
}

/** A question for the MAC address of somebody, to all, or the answer. */
export function arpFrame(from: Nic, to: Nic, { answer = false } = {}): Buffer {
  const arp = Buffer.alloc(28);
  arp.writeUInt16BE(1, 0);
  arp.writeUInt16BE(0x0800, 2);
  arp.set([6, 4, 0, answer ? 2 : 1], 4);
  arp.set(macBytes(from.mac), 8);
  arp.set(ipBytes(from.address), 14);
  arp.set(ipBytes(to.address), 24);
  return Buffer.concat([macBytes(answer ? to.mac : 'ff:ff:ff:ff:ff:ff'), macBytes(from.mac), Buffer.of(8, 6), arp]);
}

function ipFrame(from: Nic, to: Nic, protocol: number, payload: Buffer, id = 1): Buffer {
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(Math.min(20 + payload.length, 0xffff), 2);
  ip.writeUInt16BE(id & 0xffff, 4);
  ip[6] = 0x40;
  ip[8] = 64;
  ip[9] = protocol;
  ip.set(ipBytes(from.address), 12);
  ip.set(ipBytes(to.address), 16);
  return Buffer.concat([macBytes(to.mac), macBytes(from.mac), Buffer.of(8, 0), ip, payload]);
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function ipBytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

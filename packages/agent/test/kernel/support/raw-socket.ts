/** Sends frames exactly as given, super-packets too, through AF_PACKET. */
import koffi from 'koffi';
import { link } from './namespace.ts';

const libc = koffi.load('libc.so.6');
const call = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint32_t length)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)'),
  send: libc.func('long send(int fd, const void *data, size_t length, int flags)'),
  close: libc.func('int close(int fd)'),
};

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** All protocols (linux/if_ether.h). */
export const ETH_P_ALL = 3;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const SOL_SOCKET = 1;
const SO_MARK = 36;

/** VIRTIO_NET_HDR_GSO_*: how the kernel is to cut a super-packet. */
export const GSO = { tcp4: 1, ufo: 3, tcp6: 4, udp: 5 } as const;

export interface SuperPacket {
  kind: keyof typeof GSO;
  /** Payload bytes of a segment. */
  segment: number;
  /** Offset of the TCP or UDP header in the frame. */
  transport: number;
}

export class RawSocket {
  readonly #fd: number;
  readonly #device: string;

  /** @param takes which protocol it takes, and keeps unread as far as it has room. Default none */
  constructor(device: string, takes: typeof ETH_P_ALL | 0 = 0) {
    this.#device = device;
    this.#fd = call.socket(AF_PACKET, SOCK_RAW, 0); // protocol 0: receives nothing yet
    const address = Buffer.alloc(20); // struct sockaddr_ll
    address.writeUInt16LE(AF_PACKET, 0);
    address.writeUInt16BE(takes, 2);
    address.writeInt32LE(link(device).ifindex, 4);
    if (this.#fd < 0 || call.bind(this.#fd, address, address.length) < 0) {
      throw new Error(`no raw socket on ${device}`);
    }
    const on = Buffer.from([1, 0, 0, 0]);
    if (call.setsockopt(this.#fd, SOL_PACKET, PACKET_VNET_HDR, on, 4) < 0) {
      throw new Error('PACKET_VNET_HDR refused');
    }
  }

  /** Packets that are sent from now on have this mark. */
  mark(mark: number): void {
    const value = Buffer.alloc(4);
    value.writeUInt32LE(mark);
    if (call.setsockopt(this.#fd, SOL_SOCKET, SO_MARK, value, 4) < 0) {
      throw new Error('SO_MARK refused');
    }
  }

  /**
   * Sends a frame with an unfinished checksum, as a guest does. The kernel computes it over all
   * bytes from `start` on, and writes it at `field`.
   */
  sendUnfinished(frame: Buffer, start: number, field: number): void {
    const header = Buffer.alloc(10);
    header.writeUInt8(1, 0);
    header.writeUInt16LE(start, 6);
    header.writeUInt16LE(field - start, 8);
    this.#write(header, frame);
  }

  /**
   * Sends a frame. Its transport checksum must be right. For a super-packet the kernel fills it in.
   */
  send(frame: Buffer, gso?: SuperPacket): void {
    const header = Buffer.alloc(10); // struct virtio_net_hdr
    let data = frame;
    if (gso) {
      const field = gso.kind.startsWith('tcp') ? 16 : 6;
      header.writeUInt8(1, 0); // VIRTIO_NET_HDR_F_NEEDS_CSUM
      header.writeUInt8(GSO[gso.kind], 1);
      header.writeUInt16LE(gso.transport + (gso.kind.startsWith('tcp') ? 20 : 8), 2);
      header.writeUInt16LE(gso.segment, 4);
      header.writeUInt16LE(gso.transport, 6);
      header.writeUInt16LE(field, 8);
      data = Buffer.from(frame);
      data.writeUInt16BE(pseudoHeaderSum(frame, gso), gso.transport + field);
    }
    this.#write(header, data);
  }

  #write(header: Buffer, data: Buffer): void {
    const sent: number = call.send(this.#fd, Buffer.concat([header, data]), header.length + data.length, 0);
    if (sent !== header.length + data.length) {
      throw new Error(`${this.#device} took ${sent} of ${header.length + data.length} bytes, errno ${koffi.errno()}`);
    }
  }

  /**
   * Why UDP super-packets cannot be sent; undefined where they can. The kernel takes them from
   * sockets since 6.2.
   */
  static noUdpSuperPackets(device: string, frame: Buffer, gso: SuperPacket): string | undefined {
    const socket = new RawSocket(device);
    try {
      socket.send(frame, gso);
      return undefined;
    } catch (error) {
      return `SKIPPED: this kernel takes no UDP super-packet from a socket (${(error as Error).message})`;
    } finally {
      socket.close();
    }
  }

  close(): void {
    call.close(this.#fd);
  }
}

/**
 * The value that a driver leaves in the checksum field: the sum over the pseudo header, not
 * inverted.
 */
function pseudoHeaderSum(frame: Buffer, { kind, transport }: SuperPacket): number {
  const addresses = frame.subarray(transport - (kind === 'tcp6' ? 32 : 8), transport);
  let sum = (kind.startsWith('tcp') ? 6 : 17) + frame.length - transport;
  for (let i = 0; i < addresses.length; i += 2) {
    sum += addresses.readUInt16BE(i);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

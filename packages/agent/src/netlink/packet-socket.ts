/** Sends frames into a device of this node, below all protocols (packet(7)). */
import koffi from 'koffi';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const ENOBUFS = 105;

let calls: Record<'socket' | 'setsockopt' | 'sendto' | 'close', ReturnType<ReturnType<typeof koffi.load>['func']>>;

function load(): typeof calls {
  const libc = koffi.load('libc.so.6');
  calls ??= {
    socket: libc.func('int socket(int domain, int type, int protocol)'),
    setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)'),
    sendto: libc.func('long sendto(int, const void *, size_t, int flags, const void *address, uint32_t)'),
    close: libc.func('int close(int fd)'),
  };
  return calls;
}

/** How frames are sent. */
export interface SendOptions {
  /**
   * Each frame begins with a struct virtio_net_hdr of 10 bytes, which can say that the frame is a
   * super-packet. Default false.
   */
  virtioHeader?: boolean;
  /** A program at the device takes every frame, so a frame that it drops is no error. Default false. */
  taken?: boolean;
}

/**
 * Sends frames by a device, in their order.
 * @throws Error with the errno if the kernel refuses
 */
export function sendFrames(
  ifindex: number,
  frames: readonly Buffer[],
  { virtioHeader = false, taken = false }: SendOptions = {},
): void {
  const { socket, setsockopt, sendto, close } = load();
  const fd: number = socket(AF_PACKET, SOCK_RAW, 0); // protocol 0: receives nothing
  if (fd < 0) {
    throw new Error(`no packet socket: errno ${koffi.errno()}`);
  }
  try {
    const on = Buffer.from([1, 0, 0, 0]);
    if (virtioHeader && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, on, on.length) < 0) {
      throw new Error(`the packet socket takes no super-packets: errno ${koffi.errno()}`);
    }
    const to = Buffer.alloc(20); // struct sockaddr_ll: family, protocol, ifindex, and what is not needed to send
    to.writeUInt16LE(AF_PACKET, 0);
    to.writeInt32LE(ifindex, 4);
    for (const frame of frames) {
      // ENOBUFS: the frame was dropped at the egress of the device (packet_snd in net/packet/af_packet.c).
      if (sendto(fd, frame, frame.length, 0, to, to.length) !== frame.length && !(taken && koffi.errno() === ENOBUFS)) {
        throw new Error(`the frame was not taken: errno ${koffi.errno()}`);
      }
    }
  } finally {
    close(fd);
  }
}

/**
 * Synchronous rtnetlink: the kernel answers within the call. Attaching at tcx is a synchronous call
 * too. So a pass can change all parts of a path without waiting in between.
 */
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { attributes, getU16, getU32, NetlinkError, type RtMessage, text, u16, u32 } from './rtnetlink.ts';

/** include/uapi/linux/netlink.h, socket.h of the kernel and the C library. */
const AF_NETLINK = 16;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const NETLINK_ADD_MEMBERSHIP = 1;
const MSG_DONTWAIT = 0x40;
const SOCK_RAW_CLOEXEC = 0x80003;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const EINTR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;

const NLMSGHDR = 16;
/** Bytes; the kernel puts at most 32 KiB of a dump into one datagram. */
const RECEIVE = 64 * 1024;
/** All sockets read into it: what a datagram has is copied before the next one is read. */
const received = Buffer.alloc(RECEIVE);
/** Bytes for waiting notifications: some thousand changes at once. */
const WAITING = 4 << 20;
/** Number of attempts of a dump that changes interrupt. */
const ATTEMPTS = 5;

const libc = koffi.load('libc.so.6');
const call = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int option, const int *value, uint32_t length)'),
  bind: libc.func('int bind(int fd, const void *address, uint32_t length)'),
  send: libc.func('long send(int fd, const void *data, size_t length, int flags)'),
  receive: libc.func('long recv(int fd, void *data, size_t length, int flags)'),
  close: libc.func('int close(int fd)'),
};

function check(what: string, result: number): number {
  if (result < 0) {
    throw new NetlinkError(errnoName(koffi.errno()), what);
  }
  return result;
}

function openSocket(protocol: number): number {
  return check('open a netlink socket', call.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol));
}

/** The parsed next datagram. Undefined if none waits. @throws NetlinkError */
function receive(fd: number, into: Buffer, flags = 0): Message[] | undefined {
  let length: number;
  do {
    length = call.receive(fd, into, into.length, flags) as number;
  } while (length < 0 && koffi.errno() === EINTR);
  if (length < 0 && koffi.errno() === EAGAIN) {
    return undefined;
  }
  check('receive from rtnetlink', length);
  const messages: Message[] = [];
  for (let at = 0; at + NLMSGHDR <= length; ) {
    const size = getU32(into, at);
    if (size < NLMSGHDR || at + size > length) {
      break;
    }
    messages.push({
      type: getU16(into, at + 4),
      flags: getU16(into, at + 6),
      sequence: getU32(into, at + 8),
      data: into.subarray(at + NLMSGHDR, at + size),
    });
    at += (size + 3) & ~3;
  }
  return messages;
}

/** One request to the kernel: RTM_ type, payload and NLM_F_ flags. */
export interface RtRequest {
  type: number;
  payload: Buffer;
  flags?: number;
}

/** One socket. The first request opens it. */
export class RtSync {
  #fd = -1;
  #sequence = 0;
  readonly #protocol: number;

  /** @param protocol of netlink. Default NETLINK_ROUTE */
  constructor(protocol: number = NETLINK_ROUTE) {
    this.#protocol = protocol;
  }

  /**
   * Sends one message and returns the answers. @throws NetlinkError with the kernel's message if it
   * refuses
   */
  request(type: number, payload: Buffer, flags = 0): RtMessage[] {
    const [answer] = this.requests([{ type, payload, flags }]);
    if (answer instanceof NetlinkError) {
      throw answer;
    }
    return answer!;
  }

  /**
   * Sends several messages in one call. The kernel carries out all of them before the call returns,
   * even if this process is killed meanwhile. A refused message has its error in the place of its
   * answers.
   */
  requests(requests: readonly RtRequest[]): (RtMessage[] | NetlinkError)[] {
    return this.#exchange(requests.map((request) => ({ ...request, flags: (request.flags ?? 0) | NLM_F_ACK }))).answers;
  }

  /**
   * All objects of a kind. A dump is repeated after an interruption by a change. @throws
   * NetlinkError
   */
  dump(type: number, payload: Buffer): RtMessage[] {
    const answer = this.tryDump(type, payload);
    if (answer instanceof NetlinkError) {
      throw answer;
    }
    return answer;
  }

  /** As `dump`. Returns the error of the kernel, so that it is not taken for one of the socket. */
  tryDump(type: number, payload: Buffer): RtMessage[] | NetlinkError {
    for (let attempt = 1; ; attempt++) {
      const { answers, interrupted } = this.#exchange([{ type, payload, flags: NLM_F_DUMP }]);
      const [answer] = answers;
      if (answer instanceof NetlinkError || !interrupted || attempt === ATTEMPTS) {
        return answer!;
      }
    }
  }

  /** Opens the socket now, in the current network namespace of this thread. */
  open(): void {
    if (this.#fd !== -1) {
      return;
    }
    this.#fd = openSocket(this.#protocol);
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK]) {
      call.setsockopt(this.#fd, SOL_NETLINK, option, [1], 4);
    }
  }

  close(): void {
    if (this.#fd !== -1) {
      call.close(this.#fd);
    }
    this.#fd = -1;
  }

  #exchange(requests: readonly RtRequest[]): { answers: (RtMessage[] | NetlinkError)[]; interrupted: boolean } {
    try {
      this.open();
      const first = this.#sequence;
      this.#sequence += requests.length;
      const message = Buffer.concat(requests.map((request, i) => encode(request, first + i)));
      check('send to rtnetlink', call.send(this.#fd, message, message.length, 0));
      const answers: (RtMessage[] | NetlinkError)[] = requests.map(() => []);
      let interrupted = false;
      for (let open = requests.length; open > 0; ) {
        for (const { type, flags, sequence, data } of receive(this.#fd, received) ?? []) {
          const at = sequence - first;
          const answer = answers[at];
          if (!Array.isArray(answer)) {
            continue;
          }
          interrupted ||= (flags & NLM_F_DUMP_INTR) !== 0;
          if (type === NLMSG_ERROR && getU32(data, 0) !== 0) {
            answers[at] = refusal(requests[at]!.type, data, flags);
          } else if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
            answer.push({ type, data: Buffer.from(data) });
          }
          if (type === NLMSG_ERROR || type === NLMSG_DONE) {
            open--;
          }
        }
      }
      return { answers, interrupted };
    } catch (error) {
      // A socket that failed midway may still contain answers.
      this.close();
      throw error;
    }
  }
}

/** Notifications of the kernel, for a reader that polls. No callback is used. */
export class RtChanges {
  readonly #groups: readonly number[];
  #fd = -1;

  /** @param groups numbers of multicast groups, see GROUP */
  constructor(groups: readonly number[]) {
    this.#groups = groups;
  }

  /** Begins to listen. @throws NetlinkError */
  open(): void {
    this.#fd = openSocket(NETLINK_ROUTE);
    // struct sockaddr_nl with a port id that the kernel chooses. A socket without a port id gets no
    // notifications.
    const address = Buffer.concat([u16(AF_NETLINK), Buffer.alloc(10)]);
    check('bind an rtnetlink socket', call.bind(this.#fd, address, address.length));
    for (const group of this.#groups) {
      const joined = call.setsockopt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, [group], 4);
      check('listen to rtnetlink', joined);
    }
    // The option may be refused. Then more notifications are lost, and everything is read again.
    call.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, [WAITING], 4);
  }

  /**
   * All notifications since the last call. Undefined if some of them were lost. @throws
   * NetlinkError
   */
  take(): RtMessage[] | undefined {
    const taken: RtMessage[] = [];
    let lost = false;
    for (;;) {
      try {
        const messages = receive(this.#fd, received, MSG_DONTWAIT);
        if (messages === undefined) {
          return lost ? undefined : taken;
        }
        for (const { type, data } of messages) {
          taken.push({ type, data: Buffer.from(data) });
        }
      } catch (error) {
        if (koffi.errno() !== ENOBUFS) {
          throw error;
        }
        lost = true;
      }
    }
  }

  close(): void {
    if (this.#fd !== -1) {
      call.close(this.#fd);
    }
    this.#fd = -1;
  }
}

interface Message {
  type: number;
  flags: number;
  sequence: number;
  data: Buffer;
}

/** struct nlmsghdr and the padded payload. */
function encode({ type, payload, flags = 0 }: RtRequest, sequence: number): Buffer {
  const head = [u32(NLMSGHDR + payload.length), u16(type), u16(flags | NLM_F_REQUEST), u32(sequence), u32(0)];
  return Buffer.concat([...head, payload, Buffer.alloc(-payload.length & 3)]);
}

/** Reads struct nlmsgerr: the errno, the header of the request, and then the kernel's message. */
function refusal(request: number, data: Buffer, flags: number): NetlinkError {
  const words = flags & NLM_F_ACK_TLVS ? text(attributes(data, 4 + NLMSGHDR).get(NLMSGERR_ATTR_MSG)) : '';
  const code = errnoName(-(getU32(data, 0) | 0));
  return new NetlinkError(code, `rtnetlink request ${request} was refused${words && ` (${words})`}`);
}

function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

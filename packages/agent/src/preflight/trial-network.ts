/**
 * A network namespace for trials. Devices in it are visible to no other process, and are removed
 * with it.
 */
import koffi from 'koffi';
import { HoldQueue } from '../datapath/kernel/hold-queue.ts';
import { reason } from '../log.ts';
import { addVethPair, dumpLinks } from '../netlink/link.ts';
import { RtClient } from '../netlink/rt-client.ts';
import { attribute, NLM_F_CREATE, NLM_F_EXCL, RTM, u32 } from '../netlink/rtnetlink.ts';

const CLONE_NEWNET = 0x40000000;
const O_RDONLY = 0;

/** The kernel's error for each trial. Undefined: success. */
export interface NetworkFacts {
  veth: string | undefined;
  clsact: string | undefined;
  holdQueue: string | undefined;
}

/**
 * Makes the same objects as an agent on its node: a veth pair, a clsact filter, the queue of held
 * copies.
 * @param program file descriptor of a program for traffic control
 * @throws Error if no network namespace can be made
 */
export async function tryNetwork(program: number): Promise<NetworkFacts> {
  const client = connectElsewhere();
  try {
    const veth = await refusal(addVethPair(client, ['mirror0', 0], ['mirror1', 0]));
    // Without veth, the other trials use lo.
    const ifindex = Math.max(...(await dumpLinks(client)).keys());
    const clsact = await refusal(addFilter(client, ifindex, program));
    const holdQueue = await refusal(new HoldQueue(client).ensure(ifindex));
    return { veth, clsact, holdQueue };
  } finally {
    client.close();
  }
}

function refusal(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(() => undefined, reason);
}

/** include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h. */
const RTM_NEWTFILTER = 44;
const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const CLSACT_INGRESS = 0xfffffff2;
const TCA = { KIND: 1, OPTIONS: 2 } as const;
const TCA_BPF_FD = 6;
/** Preference 1, and ETH_P_ALL as it is on the wire. */
const FIRST_OF_ALL = 0x00010300;

async function addFilter(client: RtClient, ifindex: number, program: number): Promise<void> {
  // struct tcmsg: family, ifindex, handle, parent, info
  const header = (handle: number, parent: number, info: number) =>
    Buffer.concat([Buffer.alloc(4), u32(ifindex), u32(handle), u32(parent), u32(info)]);
  const kind = (name: string) => attribute(TCA.KIND, Buffer.from(`${name}\0`));
  const qdisc = [header(CLSACT_HANDLE, TC_H_CLSACT, 0), kind('clsact')];
  await client.request(RTM.NEWQDISC, Buffer.concat(qdisc), NLM_F_CREATE | NLM_F_EXCL);
  const options = attribute(TCA.OPTIONS, attribute(TCA_BPF_FD, u32(program)));
  const filter = [header(0, CLSACT_INGRESS, FIRST_OF_ALL), kind('bpf'), options];
  await client.request(RTM_NEWTFILTER, Buffer.concat(filter), NLM_F_CREATE | NLM_F_EXCL);
}

/**
 * Opens a socket in the trial namespace. A socket stays in its network namespace. This thread
 * returns to its own namespace before any other code runs on it.
 */
function connectElsewhere(): RtClient {
  const libc = koffi.load('libc.so.6');
  const open = libc.func('int open(const char *path, int flags)');
  const unshare = libc.func('int unshare(int flags)');
  const setns = libc.func('int setns(int fd, int type)');
  const close = libc.func('int close(int fd)');
  const own: number = open('/proc/thread-self/ns/net', O_RDONLY);
  if (own < 0) {
    throw new Error(`the network namespace cannot be opened: errno ${koffi.errno()}`);
  }
  const client = new RtClient();
  try {
    if (unshare(CLONE_NEWNET) !== 0) {
      throw new Error(`no network namespace can be made: errno ${koffi.errno()}`);
    }
    try {
      client.open();
    } finally {
      // No other code may run in the wrong namespace.
      if (setns(own, CLONE_NEWNET) !== 0) {
        process.abort();
      }
    }
    return client;
  } finally {
    close(own);
  }
}

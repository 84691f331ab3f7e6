/**
 * From what the kernel says of a drop to its cause. Names of reasons: include/net/dropreason-core.h
 * and net/openvswitch/drop.h of Linux. Where a kernel gives no reason, the function tells it. Pure.
 */
import type { DropCause } from '@mirrorplane/contract';

/** What is known of a drop. */
export interface DropFacts {
  /** The kernel's name of the reason. Empty: it gave none. */
  reason: string;
  /** Function of the kernel. Empty: not known. */
  function: string;
  /** Bytes of the longest frame that it would have been on the wire, without tags. */
  frame: number;
  /** MTU in bytes of the device that the packet had then. */
  mtu: number;
  /** Whether that device was up. */
  up: boolean;
  /** Whether it is for everybody, or a group. */
  toMany: boolean;
  /** Whether its address is not that of the device where it came in. */
  notForHost: boolean;
  /** The device that it had then: a bridge of guests that are looked at, one of these guests, or another. */
  device: 'bridge' | 'guest' | 'other';
}

/** Bytes of an Ethernet header. */
const ETHERNET = 14;

const BY_REASON: Readonly<Record<Exclude<DropCause, 'unclear'>, readonly string[]>> = {
  rule: [
    'NETFILTER_DROP',
    'XFRM_POLICY',
    'BPF_CGROUP_EGRESS',
    'SECURITY_HOOK',
    'XDP',
    'TAP_FILTER',
    'ARP_PVLAN_DISABLE',
    'OVS_DROP_LAST_ACTION',
    'OVS_DROP_EXPLICIT',
    'OVS_DROP_EXPLICIT_WITH_ERROR',
  ],
  rateLimit: ['OVS_DROP_METER'],
  queue: [
    'QDISC_DROP',
    'QDISC_OVERLIMIT',
    'QDISC_CONGESTED',
    'CAKE_FLOOD',
    'FQ_BAND_LIMIT',
    'FQ_HORIZON_LIMIT',
    'FQ_FLOW_LIMIT',
    'DUALPI2_STEP_DROP',
    'CPU_BACKLOG',
  ],
  ring: ['FULL_RING'],
  device: ['DEV_HDR', 'DEV_READY', 'TAP_TXFILTER', 'BRIDGE_INGRESS_STP_STATE', 'NO_TX_TARGET', 'QUEUE_PURGE'],
  tooBig: ['PKT_TOO_BIG'],
  noRoute: [
    'IP_OUTNOROUTES',
    'IP_INNOROUTES',
    'IP_INADDRERRORS',
    'IP_RPFILTER',
    'IP_LOCAL_SOURCE',
    'IP_INVALID_SOURCE',
    'IP_LOCALNET',
    'IP_INVALID_DEST',
    'IP_NOPROTO',
    'IPV6DISABLED',
    'NEIGH_CREATEFAIL',
    'NEIGH_FAILED',
    'NEIGH_QUEUEFULL',
    'NEIGH_DEAD',
    'NEIGH_HH_FILLFAIL',
    'NO_SOCKET',
    'OTHERHOST',
    'UNHANDLED_PROTO',
    'UNICAST_IN_L2_MULTICAST',
    'VXLAN_VNI_NOT_FOUND',
    'VXLAN_ENTRY_EXISTS',
    'LOCAL_MAC',
  ],
  malformed: [
    'PKT_TOO_SMALL',
    'TCP_CSUM',
    'UDP_CSUM',
    'ICMP_CSUM',
    'IP_CSUM',
    'SKB_CSUM',
    'IP_INHDR',
    'HDR_TRUNC',
    'INVALID_PROTO',
    'TCP_FLAGS',
    'IPV6_BAD_EXTHDR',
    'VXLAN_INVALID_HDR',
    'MAC_INVALID_SOURCE',
    'MAC_IEEE_MAC_CONTROL',
    'IP_TUNNEL_ECN',
    'DUP_FRAG',
    'FRAG_TOO_FAR',
  ],
};
const CAUSE = new Map(
  Object.entries(BY_REASON).flatMap(([cause, reasons]) => reasons.map((reason) => [reason, cause as DropCause])),
);

/**
 * Functions of drops without a reason, which are many on older kernels, and most of bridges. Left
 * out are those that drop for several causes: `br_handle_frame` of 6.1 does so for a rule as for a
 * closed port, `__dev_queue_xmit` of a device that is down as of one that calls itself.
 */
const BY_FUNCTION: readonly (readonly [RegExp, DropCause])[] = [
  [/^nf_hook_slow/, 'rule'],
  [/^qdisc_|_enqueue$/, 'queue'],
  [/^(tun_queue_purge|tun_ptr_free|tun_detach|__skb_array_destroy_skb|veth_xmit)/, 'device'],
  [/^(__)?br_(forward|flood|multicast_flood|handle_frame_finish)$/, 'device'],
  [/^(neigh_|__neigh_|arp_error|ndisc_error)/, 'noRoute'],
];
/**
 * Functions that hand a frame to a device, and drop what is too long for it, or where it is down
 * (`is_skb_forwardable`). The first knows the device, and the others that behind it: where that is
 * down, the device has no carrier, and bridges send it nothing.
 */
const HAND_OVER = /^br_dev_queue_push_xmit$/;
const HAND_ON = /^_*dev_forward_skb2?$/;

/** How a socket of the node ends what it has got: normal, or the business of a program there. */
const OF_SOCKETS =
  /^(SOCKET_|TCP_(?!CSUM$|FLAGS$)|UNIX_|PROTO_MEM|PACKET_SOCK_ERROR|CONSUMED|NOT_DROPPED_YET|PFMEMALLOC)/;
/** Copies of the kernel for programs that listen. */
const LISTENERS = /^(t?packet_rcv|packet_rcv_|prb_|sock_queue_rcv|__sock_queue_rcv|netlink_)/;
/** What a frame to many meets where nobody wants it. */
const UNWANTED = /^(NO_SOCKET|NO_TX_TARGET|OTHERHOST|UNHANDLED_PROTO|IPV6_NDISC_|IP_NOPROTO|UNICAST_IN_L2_MULTICAST)/;

/** Where the node's own stack finds that a packet is not for it. */
const NOT_OURS = /^(OTHERHOST|UNHANDLED_PROTO)$/;
const IN_STACK = /^(ip_rcv|ip6_rcv|ipv6_rcv|arp_rcv|__netif_receive_skb)/;

/**
 * Whether the node's own stack has got what is for others: from a bridge that has sent it to all,
 * or from a network that brings it, as a switch brings copies back.
 */
function isOverheard({ reason, function: name, notForHost, device }: DropFacts): boolean {
  const inStack = NOT_OURS.test(reason) || (reason === '' && IN_STACK.test(name));
  return notForHost && (device === 'bridge' || (device === 'other' && inStack));
}

/** The cause of a drop. Undefined: it is no loss, but how such a packet ends. */
export function causeOf(facts: DropFacts): DropCause | undefined {
  const { reason, function: name } = facts;
  if (isOverheard(facts) || OF_SOCKETS.test(reason) || LISTENERS.test(name)) {
    return undefined;
  }
  if (facts.toMany && UNWANTED.test(reason)) {
    return undefined;
  }
  return CAUSE.get(reason) ?? causeByFunction(facts);
}

function causeByFunction({ reason, function: name, frame, mtu, up }: DropFacts): DropCause {
  if (reason !== '') {
    return 'unclear';
  }
  if (HAND_OVER.test(name) || HAND_ON.test(name)) {
    return !up ? 'device' : HAND_ON.test(name) || frame > mtu + ETHERNET ? 'tooBig' : 'unclear';
  }
  return BY_FUNCTION.find(([pattern]) => pattern.test(name))?.[1] ?? (up ? 'unclear' : 'device');
}

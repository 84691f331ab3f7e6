/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that the programs share with user space. packages/agent/src/datapath/kernel/layout.ts
 * writes and reads the same bytes. A test compares sizes and offsets of both through BTF, and the
 * names of the enums with packages/contract. It is one file, as layout.ts is, so that both can be
 * read side by side.
 */
#ifndef MIRRORPLANE_TYPES_H
#define MIRRORPLANE_TYPES_H

#include <linux/types.h>

enum hook {
    HOOK_INGRESS = 0, /* what the device receives */
    HOOK_EGRESS = 1,  /* what the node sends into the device */
};

enum delivery_kind {
    DELIVERY_LOCAL = 1,
    DELIVERY_EDGE = 2,
    DELIVERY_ERSPAN = 3,
};

/* Why a matched packet was not copied. Same names, same order as DROP_REASONS in packages/contract. */
enum drop_reason {
    DROP_CLONE_FAILED,
    DROP_DESTINATION_DOWN,
    DROP_TOO_BIG_FOR_DESTINATION,
    DROP_TOO_BIG_FOR_UNDERLAY,
    DROP_GSO_UNSUPPORTED,
    DROP_VLAN_UNSUPPORTED,
    DROP_NO_NEIGHBOUR, /* counted by earlier builds alone */
    DROP_ENCAP_FAILED,
    DROP_NO_DELIVERY,
    DROP_OVER_BUDGET,
    DROP_FEEDBACK,
    DROP_REASON_COUNT,
};

/* Why a packet on a mirrored device did not match. As SKIP_REASONS in packages/contract. */
enum skip_reason {
    SKIP_IS_COPY,
    SKIP_SAME_VLAN,
    SKIP_HOST_TRAFFIC,
    SKIP_GUEST_ABSENT,
    SKIP_REASON_COUNT,
};

/* Why a received copy was not delivered. As TERMINATION_DROP_REASONS in packages/contract. */
enum termination_drop {
    TERMINATION_MALFORMED,
    TERMINATION_DESTINATION_DOWN,
    TERMINATION_TOO_BIG_FOR_DESTINATION,
    TERMINATION_DECAP_FAILED,
    TERMINATION_FEEDBACK,
    TERMINATION_DROP_COUNT,
};

/*
 * Why ERSPAN of one of our nodes is not believed, and so delivered to no one. As COPY_REFUSALS in
 * packages/contract.
 */
enum copy_refusal {
    REFUSED_STALE_SESSION, /* no policy has the session, or another policy has it now */
    REFUSED_WRONG_ADDRESS, /* sent to another address of this node */
    REFUSED_WRONG_SECRET,  /* the session is right, and the secret of the policy is not */
    REFUSED_WRONG_DEVICE,  /* arrived by a device that does not lead back to the sender */
    REFUSED_TOO_FAR,       /* has passed more routers than there are on the underlay (RFC 5082) */
    REFUSED_ODD_HEADER,    /* IP options or a fragment: no node sends such a copy */
    COPY_REFUSAL_COUNT,
};

/* Packets as they are on the wire (a super-packet counts as its segments), bytes of their Ethernet frames. */
struct count {
    __u64 packets;
    __u64 bytes;
};

struct capture_key {
    __u32 ifindex;
    __u32 hook; /* enum hook */
};

/*
 * A limit on the rate of copies. Copies beyond it are dropped, so that service traffic keeps the
 * mirror device and the CPU.
 */
struct budget {
    __u64 rate;  /* bytes a second; 0: no limit */
    __u64 burst; /* bytes that its bucket holds at most */
};

/*
 * The bucket of a budget. Only the data plane writes it: a new rate neither fills nor empties it.
 */
struct bucket {
    __s64 tokens;  /* bytes; the copy that empties it may take more than it has */
    __u64 filled;  /* time of this value, ktime in ns */
    __u64 refused; /* refused packets */
};

/* What one CPU has of a budget, see budget.h. Only the data plane writes it. */
struct budget_share {
    __s64 tokens; /* bytes that it took out of the bucket and has not spent; never negative */
    __u64 passed; /* allowed bytes in total */
};

/* Bits of capture.flags. */
enum capture_flag {
    CAPTURE_EDGE = 1, /* an edge device: traffic of the node itself and copies are skipped */
    /*
     * The guest is on another node now, and has a device there too. Packets into this device reach
     * no guest. The first frame that the guest sends here clears the flag, in the captures of both
     * hooks.
     */
    CAPTURE_STANDBY = 2,
    CAPTURE_WATCH = 4, /* no capture: it only waits for this first frame, if only the other hook is captured */
    CAPTURE_HOLD = 8, /* its destination is about to leave this node: copies are held until they are read, see hold.h */
    CAPTURE_HANDOVER =
        16, /* its guest may leave: a frame of the guest from an uplink proves that it has, see arrive.h */
    CAPTURE_OVERRULED = 64, /* on the way to the device, filters of others remove tokens, see counted.h */
    CAPTURE_FEEDBACK = 32,  /* the device is also a destination's: its guest may send copies, see feedback.h */
};

struct capture {
    __u64 threshold;     /* 0 to 2^32: copied where a random 32-bit number is below */
    __u32 slot;          /* in capture_counters */
    __u32 delivery;      /* key in deliveries */
    __u32 out_ifindex;   /* device that copies go to: the helper device, or that of a local delivery */
    __u32 direct_mtu;    /* not 0: MTU of a local delivery at out_ifindex; copies go there unchanged */
    __u32 erspan_index;  /* 20 bits: source slot << 1 | outbound */
    __u32 skip_vlan_id;  /* 0: none */
    __u32 flags;         /* enum capture_flag */
    __u32 checked;       /* jiffies of the last check of the namespace, see place.h; written by the data plane */
    __u32 budget;        /* key of the policy in budget_rates; 0: none */
    __u16 device_budget; /* likewise of the device by which copies leave the node */
    __u16 overhead;      /* bytes that a copy has there in addition to its original, with those around a frame */
};

struct capture_counters {
    struct count matched;
    struct count sampled_out;
    struct count copied;
    struct count truncated; /* a share of copied */
    struct count dropped[DROP_REASON_COUNT];
    struct count skipped[SKIP_REASON_COUNT];
};

struct delivery {
    __u32 kind;           /* enum delivery_kind */
    __u32 ifindex;        /* 0: the device is gone */
    __u32 mtu;            /* bytes; for ERSPAN the smaller of both ends */
    __u32 slot;           /* in delivery_counters; in delivery_sequences with the lane, see sequence.h */
    __u32 source_address; /* network byte order, as is the next */
    __u32 address;
    __u16 vlan_id;
    __u16 session;
    __u32 proof;           /* generation and secret, see erspan.h */
    __u32 forward;         /* key of the delivery to the target node of the destination; 0: it does not migrate */
    __u32 destination_mtu; /* for ERSPAN: MTU of the destination's own device; 0: unknown */
    __u32 segmenter;       /* ifindex of the segmenter; 0: there is none */
    __u32 allow_feedback;  /* not 0: copies that the destination sends on may pass, see feedback.h */
    __u32 lanes;           /* not 0: the receiver counts loss in each lane, see sequence.h */
};

/* Where a copy goes next, as one CPU has found it in this tick of the kernel, see next-hop.h. */
struct next_hop {
    __u32 tick;   /* jiffies */
    __u32 source; /* of the delivery that it was found for, as are the next two */
    __u32 address;
    __u32 ifindex;
    __u32 family;     /* AF_INET; 0: the kernel looks for it with each copy. With the next: struct bpf_redir_neigh */
    __u32 gateway[4]; /* the first word; network byte order */
    __u8 link[12];    /* link-layer addresses of the next hop and of the device */
    __u32 linked;     /* not 0: `link` is known */
};

struct delivery_counters {
    struct count sent;
    struct count feedback; /* copies that the destination's guest has sent on */
};

struct termination_key {
    __u32 address; /* of the sender, network byte order */
    /*
     * The session, and above its 10 bits the low 22 bits of the ifindex of the device that the packet
     * arrives at: while this node gets another key for encrypted copies, a path has an end at two
     * devices. One number, because of the stack, see verifier.h.
     */
    __u32 session_at_device;
};

struct termination {
    __u32 slot; /* in termination_counters */
    __u32 kind; /* enum delivery_kind; DELIVERY_ERSPAN: sent to the node where the destination is now, see relay.h */
    __u32 ifindex;
    __u32 mtu;
    __u32 vlan_id;
    __u32 delivery;    /* key in deliveries */
    __u32 hold;        /* not 0: the destination is about to leave this node, see hold.h */
    __u32 own_address; /* that the sender must use, network byte order */
    __u32 proof;       /* generation and secret, see erspan.h */
    __u32 proof_mask;  /* the bits that must be equal; the others are not known */
    __u32 device;      /* ifindex of the device that leads back to the sender; 0: none does */
    __u32 least_ttl;   /* that a copy can have left; 0: not checked */
    __u32 checked;     /* as in struct capture */
};

/* Unproven ERSPAN packets of one of our nodes, which are not delivered. */
struct peer {
    __u64 refused[COPY_REFUSAL_COUNT];
};

struct termination_counters {
    struct count received;
    struct count delivered;
    struct count relayed; /* sent to the node where the destination is now */
    struct count dropped[TERMINATION_DROP_COUNT];
};

/*
 * The name of a probe: both addresses of its Ethernet header, in which it is random. All segments
 * of a super-packet have them.
 */
struct probe_key {
    __u8 addresses[12];
};

/* A probe that this node makes, see probe.h. */
struct probe {
    __u32 ifindex; /* of the device with the capture that the probe goes through */
    __u32 hook;
    __u32 length; /* of the frame; a super-packet has its length already */
    __u32 made;   /* written by the data plane: it is made once */
};

/* What became of a probe on this node, apart from all other copies. */
struct probe_counts {
    struct count made;
    struct count copied;
    struct count truncated; /* a share of copied */
    struct count sent;
    struct count dropped[DROP_REASON_COUNT];
    struct termination_counters end;
};

/* Lanes in which a sender numbers its copies, see sequence.h. */
#define LANES 16

/* State of the numbers of one lane. */
struct lane_state {
    __u32 next;    /* the expected number: its lower 28 bits */
    __u32 seen;    /* jiffies of the last packet; 0: none has been seen */
    __u64 missing; /* numbers that were skipped */
    __u64 late;    /* skipped numbers that came later */
    __u32 first;   /* the number of the newest packet */
    __u32 padding;
};

/* State of the sequence numbers of one sender and session. */
struct sequence_state {
    struct lane_state lanes[LANES];
};

/* A port where frames enter a bridge. */
struct arrival_port {
    __u32 bridge;    /* ifindex */
    __u32 uplink;    /* a departed guest may be behind it: the bridge learns here, and it is no guest's port */
    __u32 feedback;  /* the device is a destination's: its guest may send copies, see feedback.h */
    __u32 overruled; /* filters of others run after ours here, see counted.h */
};

/* A frame that was accounted for on arrival, by its content. */
struct counted_key {
    __u64 hash;
    __u32 ifindex; /* of the guest's device */
    __u32 zero;
};

/* Only the data plane uses it. */
struct counted {
    __u64 at;     /* ktime of the last one, ns */
    __u32 frames; /* frames that have not come to the device yet */
    __u32 zero;
};

/*
 * A device that copies are delivered into for a guest. Written by the data plane: since when it is
 * watched, and the number of its recent addresses. ktime in ns.
 */
struct destination {
    __u64 since;    /* 0: nothing has passed yet */
    __u64 window;   /* when counting began */
    __u64 feedback; /* when its guest last sent a copy on; 0: never */
    __u32 own;      /* of the guest */
    __u32 noted;    /* of others */
    __u32 arriving; /* not 0: its guest is about to come from another node, and has sent no frame here yet */
    __u32 padding;
};

/* A source address of frames that come into a destination's device, or out of it. */
struct source_address {
    __u32 ifindex;
    __u8 mac[6];
    __u8 padding[2];
};

/* An address that is not the guest's own: when it last came in, ktime in ns; 0: never. */
struct foreign_source {
    __u64 seen;     /* at all */
    __u64 copied;   /* in a copy */
    __u64 guarded;  /* in a copy of a policy that does not allow feedback */
    __u32 delivery; /* of the last copy */
    __u32 guard;    /* likewise, of a policy that did not allow feedback */
};

/*
 * A frame that came into a destination's device, by fields that do not change when it is sent on.
 */
struct arrived_key {
    __u64 hash;
    __u32 ifindex;
    __u32 padding;
};

/* Times of such a frame, ktime in ns. */
struct arrived {
    __u64 came;
    __u64 sent;  /* the destination's guest has sent it on, and it has passed; 0: never */
    __u64 first; /* the guest has sent it before it came in; 0: never */
};

/* A guest behind a mirrored port of a bridge. */
struct arrival_key {
    __u32 bridge; /* ifindex */
    __u8 mac[6];
    __u8 padding[2];
};

/* A MAC address on copies with this VLAN ID. */
struct copy_mac {
    __u8 mac[6]; /* 01:00:00:00:00:00: all multicast and broadcast addresses */
    __u16 vlan_id;
};

/* Place of the address on the copies, bits. */
enum copy_mac_side {
    COPY_MAC_SOURCE = 1,
    COPY_MAC_DESTINATION = 2,
};

/* An address of the node itself, as in IPv6; IPv4 is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct host_address {
    __u8 bytes[16];
};

/* A tap whose guest is about to leave, or has left. */
struct hold {
    __u32 queue;    /* ifindex of the device that copies are held behind */
    __u32 released; /* the guest has left: unread copies go to the other node */
    __u32 netns;    /* inode of the network namespace of the tap */
};

/* Counts of the copies for a guest that leaves. Packets as in struct count. */
struct hold_counts {
    __u64 handed;      /* copies put into the tap since holding began */
    __u64 read;        /* of these, copies taken out of the tap */
    __u64 relayed;     /* sent to the node where the guest is */
    __u64 unconfirmed; /* of these, copies taken out of the tap, maybe after the guest had stopped */
    __u64 last_read;   /* ktime in ns */
    __u32 reads;       /* reads of copies: a super-packet counts as one */
    __u32 confirmed;   /* the first so many reads certainly reached the guest */
    __u32 prompt;      /* not 0: the last read came without delay */
    __u32 padding;
};

/* A copy in the hold queue. */
struct held_copy {
    __u32 number;
    __u32 ifindex; /* of the tap */
    __u32 delivery;
    __u32 erspan_index;
    __u32 truncated;
    __u32 packets;
    __u32 read;      /* number of its read, from 1; 0: not read yet */
    __u64 handed_at; /* ktime in ns, as is the next */
    __u64 read_at;
};

/* Where the programs belong. */
struct place {
    __u32 helper; /* ifindex of the helper device; 0: there is none */
    __u32 netns;  /* inode of the network namespace; 0: not known yet */
    /*
     * Grows when a device becomes a destination's, or when feedback is allowed or not any more:
     * earlier notes of CPUs are outdated, see feedback.h.
     */
    __u32 begun;
    __u32 tunnels[2]; /* ifindexes of devices that encrypt copies, as MAX_TUNNELS of datapath.ts; 0: there is none */
};

/* Where a look sees a packet, see watch.h. As LOOK_PLACES in packages/contract. */
enum look_place {
    PLACE_SENT,      /* by the guest, at its device */
    PLACE_ARRIVED,   /* where it enters the guest's bridge, before a firewall there */
    PLACE_DELIVERED, /* to the guest, at its device, behind that firewall */
};

/* What became of the copy of a packet, at one hook. Below 64. */
enum copy_fate {
    FATE_NO_CAPTURE, /* nothing is captured here that the packet belongs to */
    FATE_COPIED,
    FATE_SAMPLED_OUT,
    FATE_COUNTED_ON_ARRIVAL, /* what became of it is told where it entered the bridge, see arrive.h */
    FATE_DROPPED = 16,       /* and an enum drop_reason on top */
    FATE_SKIPPED = 48,       /* and an enum skip_reason on top */
};

/* At most so many looks on a node. */
#define LOOKS 4
/* And so many comparisons in the words of each. */
#define LOOK_TERMS 32
/* Bytes of a frame that a record has room for. A power of two, for the verifier. */
#define LOOK_BYTES 2048

/* What a term compares. */
enum look_term_kind {
    TERM_ETHERTYPE, /* with `number` */
    TERM_PROTOCOL,  /* of IP with `number`, in frames of `ethertype` alone where that is not 0 */
    TERM_ADDRESS,   /* of `family` */
    TERM_PORT,      /* with `number`; of IP protocol `protocol` alone where that is not 0 */
    TERM_VLAN,      /* `number`: the outermost VLAN ID; LOOK_ANY_VLAN: any tag */
};

#define LOOK_ANY_VLAN 0xffff

/* Bits of look_term.sides. */
enum look_side {
    SIDE_SOURCE = 1,
    SIDE_TARGET = 2,
};

/* Instead of the number of a term: the look is at this packet, or not. */
#define LOOK_YES 254
#define LOOK_NO 255

/* A comparison, and where to go on: always to a later term, or to an end. */
struct look_term {
    __u8 kind; /* enum look_term_kind */
    __u8 sides;
    __u8 yes;
    __u8 no;
    __u16 number;
    __u16 ethertype;
    __u8 protocol;
    __u8 family; /* 4 (ARP too) or 6 */
    __u8 padding[2];
    __u32 address[4]; /* network byte order; of IPv4 the first word; bits outside of the mask are 0 */
    __u32 mask[4];
};

struct look {
    __u64 ends;            /* ktime in ns: from then on it sees nothing */
    __u64 fates;           /* a bit for each enum copy_fate that it wants */
    struct budget packets; /* in thousandths of a packet */
    struct budget bytes;   /* of records */
    __u32 serial;          /* tells its records from those of others that had the slot */
    __u32 length;          /* bytes of a frame that a record has at most */
    __u32 first;           /* number of the term to begin with, or LOOK_YES */
    __u32 padding;
    struct look_term terms[LOOK_TERMS];
};

/* What is to be looked at, at one hook of a device. Sets of looks are bits by slot. */
struct look_hook {
    __u32 own;       /* looks that see all packets here */
    __u32 own_place; /* enum look_place */
    __u32 entering;  /* looks at guests of this bridge that are not behind this port: here packets for them arrive */
    __u32 bridge;    /* ifindex */
};

/* An address of guests that are looked at; the key is a struct arrival_key. */
struct look_guest {
    __u32 looks;
    __u32 ifindex; /* of the port */
};

/* Packets. seen = written + over_rate + ring_full. */
struct look_counters {
    __u64 seen; /* what the look asks for */
    __u64 written;
    __u64 over_rate;
    __u64 ring_full;
};

/* A packet at a place. */
struct look_record {
    __u64 at; /* ktime in ns */
    __u64 id; /* the same for the same packet at other places; 0: it has none */
    __u32 serial;
    __u32 ifindex;
    __u32 length; /* of the whole frame with its tags */
    __u16 captured;
    __u16 gso_size;      /* not 0: it is a super-packet, and its segments have so many bytes of payload */
    __u16 packets;       /* that it is on the wire */
    __u16 vlan_tci;      /* of a tag that is not among the bytes */
    __u16 vlan_protocol; /* network byte order; 0: there is no such tag */
    __u8 place;
    __u8 hook;
    __u8 fate; /* enum copy_fate */
    __u8 padding[7];
    __u8 bytes[LOOK_BYTES];
};

/* Bytes of a record before those of the frame. */
#define LOOK_RECORD_HEAD 48

/* Counters of a node as a whole. */
struct node_counters {
    __u64 unknown_erspan;
};

#endif

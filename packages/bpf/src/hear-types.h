/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Types that hear.h shares with user space, as types.h:
 * packages/agent/src/datapath/kernel/hear-layout.ts has the same bytes.
 */
#ifndef MIRRORPLANE_HEAR_TYPES_H
#define MIRRORPLANE_HEAR_TYPES_H

#include "types.h"

/* What is to be heard. */
struct hearing {
    __u64 ends[LOOKS];    /* ktime in ns; 0: there is no such look */
    __u32 serials[LOOKS]; /* as in struct look */
    __u32 netns;          /* inode of the network namespace of the node */
    __u32 own[3];         /* ifindexes of devices that only copies pass; 0: none */
};

/* Drops of packets of a look. heard = written + over_rate + ring_full. */
struct hearing_counters {
    __u64 heard;
    __u64 written;
    __u64 over_rate;
    __u64 ring_full;
};

/* How a drop belongs to a look. As LookDrop.join of the agent. */
enum hearing_join {
    JOIN_PACKET, /* the look has written this packet */
    JOIN_FLOW,   /* the look has written a super-packet of this flow */
};

/* Bytes of a dropped frame in a record. A power of two, for the verifier. */
#define HEARD_BYTES 128

/* A drop. */
struct heard_drop {
    __u64 at;       /* ktime in ns */
    __u64 id;       /* as in struct look_record; 0: unknown */
    __u64 function; /* address in the function that dropped it: key of drop_functions */
    __u32 serial;   /* of the look */
    __u32 reason;   /* enum skb_drop_reason of this kernel */
    __u32 ifindex;
    __u32 mtu;   /* of that device */
    __u32 flags; /* of that device */
    __u32 length;
    __u16 captured;
    __u16 gso_size;
    __u16 gso_segs;
    __u16 vlan_tci;
    __u16 vlan_protocol; /* network byte order; 0: there is no tag as metadata */
    __u8 join;           /* enum hearing_join */
    __u8 packet_type;    /* PACKET_HOST and so on, linux/if_packet.h */
    __u8 padding[4];
    __u8 bytes[HEARD_BYTES];
};

/* Bytes of a name of a function, the NUL among them. */
#define FUNCTION_BYTES 64

#endif

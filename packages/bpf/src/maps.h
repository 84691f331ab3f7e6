/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All maps. The agent pins each under its name, and sets the sizes that it needs before loading. */
#ifndef MIRRORPLANE_MAPS_H
#define MIRRORPLANE_MAPS_H

#include "look-maps.h"
#include "types.h"

/*
 * Key: device and hook. Value: what to do with its packets. Memory: about 100 bytes an entry, not
 * preallocated. It is a hash map, so that user space replaces a value as a whole, and no packet
 * sees half of a change.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 8192);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct capture_key);
    __type(value, struct capture);
} captures SEC(".maps");

/* Key: device. Value: the bridge that its frames enter. Memory: about 75 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct arrival_port);
} arrival_ports SEC(".maps");

/*
 * Key: bridge and MAC address of a guest. Value: ifindex of its mirrored port. After a frame with
 * this source address has come in at another port, the value is that port. Memory: about 80 bytes
 * an entry.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct arrival_key);
    __type(value, __u32);
} arrivals SEC(".maps");

/* Key: a destination's device. Value: struct destination. Memory: about 85 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct destination);
} destinations SEC(".maps");

/*
 * Key: a destination's device and an address that its guest uses. Value: time of the last copy with
 * this address that came in, ktime in ns; 0: never. Memory: 6 MiB. LRU, as the two below: the
 * kernel removes the least recently used entries.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct source_address);
    __type(value, __u64);
} own_sources SEC(".maps");

/* Key: a destination's device and an address that came in there. Memory: 8 MiB. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct source_address);
    __type(value, struct foreign_source);
} foreign_sources SEC(".maps");

/*
 * Key: a frame that came into a destination's device and must be recognised again: broadcast and
 * similar frames, copies of frames of its own guest, and copies of policies that allow feedback.
 * Memory: 6 MiB.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct arrived_key);
    __type(value, struct arrived);
} arrived_frames SEC(".maps");

/*
 * Key: a frame that was accounted for at a port where filters of others remove its token. Memory: 6
 * MiB.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct counted_key);
    __type(value, struct counted);
} counted_frames SEC(".maps");

/* Key: an address of the node. Value: unused. Memory: about 80 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct host_address);
    __type(value, __u32);
} host_addresses SEC(".maps");

/* Key: a device that leads to the physical network. Value: unused. Memory: about 70 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, __u32);
} physical_devices SEC(".maps");

/* Key: 0. Value: the network namespace in which the programs copy. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct place);
} node_place SEC(".maps");

/* Keys of copy_vlans. */
enum copy_vlan_set {
    VLANS_OF_OTHERS, /* edges of other nodes push them: a frame with one counts as a copy */
    VLANS_OF_NODE,   /* edges of this node push them: copies that have left are recognised, see sent.h */
    VLANS_OF_GUESTS, /* edges of other nodes push them, only on copies of guests: see copy_macs */
    COPY_VLAN_SETS,
};

/* Key: enum copy_vlan_set. Value: a bit for each VLAN ID that policies push on copies. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, COPY_VLAN_SETS);
    __type(key, __u32);
    __type(value, __u8[512]);
} copy_vlans SEC(".maps");

/* Key: VLAN ID of VLANS_OF_GUESTS, and MAC address. Value: bits of copy_mac_side. Memory: about 75 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct copy_mac);
    __type(value, __u32);
} copy_macs SEC(".maps");

#define SENT_COPIES 131072

/* Key: lower bits of the sum of a copy. Value: its other bits, and when it was sent, see sent.h. Memory: 1 MiB. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, SENT_COPIES);
    __type(key, __u32);
    __type(value, __u64);
} sent_copies SEC(".maps");

/*
 * Keys of budgets: the node's is 0. Then 1 + slot of the delivery of a policy, then devices by
 * which copies leave the node.
 */
#define NODE_BUDGET 0
#define FIRST_DEVICE_BUDGET 4097
#define BUDGETS (FIRST_DEVICE_BUDGET + 1024)

/*
 * Key: as above. Value: rate and burst. User space writes them while copies are made. Memory: 16
 * bytes a slot.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, BUDGETS);
    __type(key, __u32);
    __type(value, struct budget);
} budget_rates SEC(".maps");

struct locked_bucket {
    struct bucket bucket;
    struct bpf_spin_lock lock;
};

/*
 * Key: the same. Value: the bucket, one for all CPUs. Memory: 32 bytes a slot. User space only
 * reads it.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, BUDGETS);
    __type(key, __u32);
    __type(value, struct locked_bucket);
} budget_buckets SEC(".maps");

/* Key: the same. Value: what a CPU has of the budget. Memory: 16 bytes a slot and CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, BUDGETS);
    __type(key, __u32);
    __type(value, struct budget_share);
} budget_shares SEC(".maps");

/* Key: capture slot. Value: counters. Memory: 304 bytes a slot and CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct capture_counters);
} capture_counters SEC(".maps");

/*
 * Key: delivery slot. Value: how copies leave. Memory: about 100 bytes an entry. A hash map for the
 * same reason as `captures`.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct delivery);
} deliveries SEC(".maps");

/* Key: delivery slot. Value: counters. Memory: 32 bytes a slot and CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, struct delivery_counters);
} delivery_counters SEC(".maps");

/* Key: delivery slot. Value: its next hop. Memory: 56 bytes a slot and CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, struct next_hop);
} next_hops SEC(".maps");

#define DELIVERY_SLOTS 4096
#define NUMBERED_LANES (DELIVERY_SLOTS * LANES)

/*
 * Key: lane * DELIVERY_SLOTS + delivery slot, so lanes have no cache line in common. Value: how many
 * copies have been numbered. Memory: 512 KiB.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, NUMBERED_LANES);
    __type(key, __u32);
    __type(value, __u64);
} delivery_sequences SEC(".maps");

/*
 * Key: addresses of a probe that is made here. Memory: about 80 bytes an entry. User space adds and
 * removes entries; there are none without a test.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct probe_key);
    __type(value, struct probe);
} probes SEC(".maps");

/*
 * Key: addresses of a probe that is made here, or comes here. Memory: 368 bytes an entry and CPU,
 * during a test.
 */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct probe_key);
    __type(value, struct probe_counts);
} probe_counts SEC(".maps");

/* Key: sender, session and device. Value: where its copies go. Memory: about 90 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct termination_key);
    __type(value, struct termination);
} terminations SEC(".maps");

/*
 * Key: address of a node that may send here, network byte order. Value: its refused packets.
 * Memory: about 80 bytes an entry.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct peer);
} peers SEC(".maps");

/* Key: termination slot. Value: counters. Memory: 128 bytes a slot and CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct termination_counters);
} termination_counters SEC(".maps");

/* Key: termination slot. Value: sequence numbers, one for all CPUs. Memory: 512 bytes a slot, 4 MiB. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 8192);
    __type(key, __u32);
    __type(value, struct sequence_state);
} termination_sequences SEC(".maps");

/*
 * Key: ifindex of a tap whose guest is about to leave. Value: struct hold. Memory: about 80 bytes
 * an entry.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct hold);
} holds SEC(".maps");

/*
 * Key: the same. Value: struct hold_counts. User space writes zeros, and reads the counts. Memory:
 * about 110 bytes an entry.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct hold_counts);
} hold_counts SEC(".maps");

/* More than the capacity of the hold queue, and fewer than the numbers in a mark. */
#define HELD_COPIES 16384

/* Key: number of a copy modulo HELD_COPIES. Memory: 48 bytes a slot. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, HELD_COPIES);
    __type(key, __u32);
    __type(value, struct held_copy);
} held_copies SEC(".maps");

/* Key: 0. Value: the number of the next copy. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} hold_numbers SEC(".maps");

/* Key: 0. Value: counters of the node. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct node_counters);
} node_counters SEC(".maps");

/*
 * A TCP segment that leaves as several segments, see split.h. Offsets and lengths in bytes, without
 * metadata tags.
 */
struct split {
    __u32 tcp;     /* offset of its header */
    __u32 headers; /* length of all headers */
    __u32 payload;
    __u32 cut;   /* payload of each part; the last one has the rest */
    __u32 parts; /* how many */
    __u32 index; /* of the part that is made now */
    __u32 ipv6;
    __u32 checksum_done; /* 0: the stack computes it when the packet leaves */
};

#define SCRATCH_SIZE 512
#define SPLIT_CUT_MAX 8192
#define SPLIT_PARTS_MAX 16

enum part {
    PART_WHOLE, /* or the last part */
    PART_CLONE, /* others come after it */
};

/* An address that this CPU has recorded lately, see feedback.h. */
struct noted_source {
    __u64 address; /* and a period of some seconds, which ends too when a device becomes a destination's */
    __u64 whose;   /* ifindex of the destination's device, and key of the delivery */
};

/*
 * As many as a policy has sources at most. With 256, two of three of 256 sources shared a slot, and
 * each of their copies was examined.
 */
#define NOTED_SOURCES 1024

/* Slot of a copy that a capture has already counted. */
#define NO_SLOT (~0U)

/* Whose fate is told, see fate.h. */
enum told {
    TOLD_AT_DEVICE,
    TOLD_ON_ARRIVAL,
    TOLD_COUNT,
};

struct copy_context {
    __u32 active;           /* a copy is being made on this CPU: a packet that passes a hook now is this copy */
    __u32 handled;          /* transform has run, and has counted */
    __u32 outcome;          /* enum copy_fate of the copy that is being made */
    __u32 probe;            /* ERSPAN_PROBE: it is a probe; else 0, see probe.h */
    __u64 told[TOLD_COUNT]; /* what became of the copy of the packet that passes now, see fate.h */
    __u32 slot;
    __u32 delivery;
    __u32 erspan_index;
    __u32 packets;
    __u64 bytes;
    __u32 part;        /* enum part */
    __u32 failed;      /* counted as dropped */
    __u32 truncated;   /* 1: it was already truncated on its way here */
    __u32 followed;    /* terminate: the slot whose numbers are followed, or NO_SLOT */
    __u32 sequence;    /* terminate: the number of the copy */
    __u32 segmenting;  /* segments of one super-packet are passing, see super.h */
    struct count left; /* the part of it without a counted segment */
    struct split split;
    struct probe_key probe_key; /* of the probe */
    __u32 probe_frame;          /* bytes of the longest frame that it becomes; 0: not known */
    struct noted_source noted[NOTED_SOURCES];
    __u8 scratch[SCRATCH_SIZE + 4]; /* whole words, for the verifier */
};

/* Key: 0. Value: the copy that this CPU is making. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct copy_context);
} copy_context SEC(".maps");

/* Length of the longest frame that can be summed or built again. */
#define KEPT_BYTES 10240
#define KEPT_CHUNKS (KEPT_BYTES / SCRATCH_SIZE)

struct kept_bytes {
    __u8 bytes[KEPT_BYTES];
};

/* Key: 0. Value: the bytes of a frame that is built again, see rebuild.h. Memory: 10 KiB a CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct kept_bytes);
} kept_bytes SEC(".maps");

/*
 * Only for user space: the slot of each identity (first 16 bytes of a SHA-256), so that counters
 * survive restarts.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 32768);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u8[16]);
    __type(value, __u32);
} slots SEC(".maps");

/*
 * Only for user space: what each of these slots counts, as text that ends with the first zero. So
 * counts of parts that have left the node program have a name after a restart too.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 32768);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u8[16]);
    __type(value, __u8[512]);
} slot_names SEC(".maps");

static __always_inline struct copy_context *this_copy(void) {
    __u32 zero = 0;
    return bpf_map_lookup_elem(&copy_context, &zero);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of looks, see watch.h and hear.h. */
#ifndef MIRRORPLANE_LOOK_MAPS_H
#define MIRRORPLANE_LOOK_MAPS_H

#include "types.h"

/* Key: slot. Value: what to look for. Memory: 1.4 KiB an entry. A hash map, as `captures`. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, LOOKS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u32);
    __type(value, struct look);
} looks SEC(".maps");

/* Key: device and hook where `watch` hangs. Memory: about 90 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct capture_key);
    __type(value, struct look_hook);
} look_hooks SEC(".maps");

/* Key: bridge and MAC address of a guest that is looked at. Memory: about 90 bytes an entry. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct arrival_key);
    __type(value, struct look_guest);
} look_guests SEC(".maps");

struct look_buckets {
    struct bucket packets;
    struct bucket bytes;
    struct bpf_spin_lock lock;
};

/*
 * Key: slot. Value: what its rate leaves. User space puts zeros there. Memory: 72 bytes an entry.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, LOOKS);
    __type(key, __u32);
    __type(value, struct look_buckets);
} look_buckets SEC(".maps");

/* Key: slot. Memory: 32 bytes an entry and CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, LOOKS);
    __type(key, __u32);
    __type(value, struct look_counters);
} look_counters SEC(".maps");

/*
 * Records of all looks, which user space takes out while there are looks. Half a second of four at
 * full rate.
 */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} look_records SEC(".maps");

/* Key: 0. Value: the record that this CPU makes. Memory: 2 KiB a CPU. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct look_record);
} look_scratch SEC(".maps");

/*
 * What looks have written lately is noted for who hears drops, see hear.h. LRU: what is noted
 * longest ago makes room. Two seconds of four looks at full rate.
 */
#define NOTED_PACKETS 16384

/* Who has written a packet. Slots of looks, and the serials that they had; 0: not this one. */
struct noted_packet {
    __u64 skb; /* address of the kernel's sk_buff where it was seen last */
    __u32 serials[LOOKS];
};

/* Key: id of a packet. Memory: 1.5 MiB. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, NOTED_PACKETS);
    __type(key, __u64);
    __type(value, struct noted_packet);
} noted_packets SEC(".maps");

struct noted_skb {
    __u64 id;
    __u64 telltale; /* of what stays where a packet is routed; 0: it has none */
};

/* Key: address of the kernel's sk_buff. Value: the packet that was seen in it last. Memory: 1.5 MiB. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, NOTED_PACKETS);
    __type(key, __u64);
    __type(value, struct noted_skb);
} noted_skbs SEC(".maps");

struct noted_flow {
    __u64 at; /* ktime in ns */
    __u32 serials[LOOKS];
};

/* Key: addresses and ports of super-packets, as a hash. Memory: 100 KiB. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u64);
    __type(value, struct noted_flow);
} noted_flows SEC(".maps");

#endif

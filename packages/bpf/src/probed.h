/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* probed: counts what becomes of probes (see probe.h), apart from all other copies. */
#ifndef MIRRORPLANE_PROBED_H
#define MIRRORPLANE_PROBED_H

#include "maps.h"
#include "verifier.h"

/* What is counted of a probe. */
enum probe_count {
    PROBE_COPIED,
    PROBE_TRUNCATED,
    PROBE_SENT,
    PROBE_DROPPED, /* and an enum drop_reason on top */
};

static __always_inline void add(struct count *count, __u64 packets, __u64 bytes) {
    count->packets += packets;
    count->bytes += bytes;
}

/* Counts what became of the copy that is being made, if it is a probe. `what`: enum probe_count. */
__global int count_probe(struct copy_context *copy, __u32 what, __u64 packets, __u64 bytes) {
    struct probe_counts *counts;
    struct probe_key key;

    if (!copy || !copy->probe)
        return 0;
    __builtin_memcpy(&key, &copy->probe_key, sizeof(key)); /* on the stack, see count_copied */
    counts = bpf_map_lookup_elem(&probe_counts, &key);
    if (!counts)
        return 0;
    if (what == PROBE_COPIED)
        add(&counts->copied, packets, bytes);
    else if (what == PROBE_TRUNCATED)
        add(&counts->truncated, packets, bytes);
    else if (what == PROBE_SENT)
        add(&counts->sent, packets, bytes);
    else if (what - PROBE_DROPPED < DROP_REASON_COUNT)
        add(&counts->dropped[what - PROBE_DROPPED], packets, bytes);
    return 0;
}

static __always_inline void count_probe_copied(struct copy_context *copy, bool truncated) {
    count_probe(copy, PROBE_COPIED, copy->packets, copy->bytes);
    if (truncated)
        count_probe(copy, PROBE_TRUNCATED, copy->packets, copy->bytes);
}

/* Addresses of probes: locally administered, and with two letters of ours (02:4d:50). */
static __always_inline bool is_probe_address(const __u8 mac[6]) {
    return mac[0] == 0x02 && mac[1] == 0x4d && mac[2] == 0x50;
}

#endif

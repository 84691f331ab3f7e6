/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting. Counters are per CPU, so plain additions are exact. */
#ifndef MIRRORPLANE_COUNTERS_H
#define MIRRORPLANE_COUNTERS_H

#include "maps.h"
#include "probed.h"

/* Every matched packet that passed sampling ends in one of these two. */
static __always_inline void count_copied(struct copy_context *copy, bool truncated) {
    __u32 slot =
        copy->slot; /* on the stack: before 6.2 a key must not be in the memory of a global function's argument */
    struct capture_counters *counters = bpf_map_lookup_elem(&capture_counters, &slot);

    if (copy->outcome < FATE_DROPPED) /* of its segments, none was dropped */
        copy->outcome = FATE_COPIED;
    if (!counters) {
        count_probe_copied(copy, truncated);
        return;
    }
    add(&counters->copied, copy->packets, copy->bytes);
    if (truncated)
        add(&counters->truncated, copy->packets, copy->bytes);
}

static __always_inline void count_dropped(struct copy_context *copy, enum drop_reason reason) {
    __u32 slot = copy->slot;
    struct capture_counters *counters = bpf_map_lookup_elem(&capture_counters, &slot);

    copy->outcome = FATE_DROPPED + reason;
    if (!counters)
        count_probe(copy, PROBE_DROPPED + reason, copy->packets, copy->bytes);
    else if (reason < DROP_REASON_COUNT)
        add(&counters->dropped[reason], copy->packets, copy->bytes);
}

static __always_inline void count_sent(__u32 slot, __u64 packets, __u64 bytes) {
    struct delivery_counters *counters = bpf_map_lookup_elem(&delivery_counters, &slot);

    if (counters)
        add(&counters->sent, packets, bytes);
}

/* The same for a copy that `transform` sends, which may be a probe. */
static __always_inline void count_left(struct copy_context *copy, __u32 slot, __u64 packets, __u64 bytes) {
    if (copy->probe)
        count_probe(copy, PROBE_SENT, packets, bytes);
    else
        count_sent(slot, packets, bytes);
}

#endif

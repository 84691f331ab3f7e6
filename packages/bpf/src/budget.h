/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* budget: limits the bytes of copies that a policy, a device and the node may make in a second. */
#ifndef MIRRORPLANE_BUDGET_H
#define MIRRORPLANE_BUDGET_H

#include "maps.h"

#define NS_PER_SECOND 1000000000ULL

/* What a bucket has earned since it was filled last. Under its lock. */
static __always_inline void fill(struct bucket *bucket, __u64 rate, __u64 burst, __u64 now) {
    __s64 elapsed = now - bucket->filled;

    if (elapsed >= (__s64)NS_PER_SECOND) { /* also the first time */
        bucket->tokens = burst;
        bucket->filled = now;
    } else if (elapsed > 0) {                          /* another CPU may have been here after `now` */
        __u64 earned = elapsed * rate / NS_PER_SECOND; /* fits for up to 137 Gbit/s */
        if (earned) {                                  /* what is less than a byte is not forgotten */
            bucket->filled = now;
            bucket->tokens += earned;
        }
    }
    if (bucket->tokens > (__s64)burst)
        bucket->tokens = burst;
}

/*
 * A CPU takes at most this part of a burst out of the bucket at once. So what other CPUs hold is
 * little against the burst, and a small bucket is shared packet by packet.
 */
#define SHARE_SHIFT 8

/*
 * Takes `bytes` out of the bucket, and a share for the next copies of this CPU. What was left of
 * the last share goes back first. False if the bucket is empty. The copy that empties it is allowed
 * as a whole, so that no copy is too large for every moment.
 */
static __always_inline bool draw(__u32 key, struct budget *budget, struct budget_share *share, __u64 bytes,
                                 __u64 packets) {
    struct locked_bucket *locked = bpf_map_lookup_elem(&budget_buckets, &key);
    __u64 burst = budget->burst;
    __u64 rate = budget->rate;
    __s64 most = burst >> SHARE_SHIFT;
    __s64 held = share->tokens;
    struct bucket *bucket;
    bool enough;
    __u64 now;

    if (!locked)
        return true;
    bucket = &locked->bucket;
    now = bpf_ktime_get_ns();
    bpf_spin_lock(&locked->lock);
    fill(bucket, rate, burst, now);
    bucket->tokens += held;
    held = 0;
    enough = bucket->tokens > 0;
    if (enough) {
        bucket->tokens -= bytes;
        if (bucket->tokens > most)
            held = most;
        bucket->tokens -= held;
    } else {
        bucket->refused += packets;
    }
    bpf_spin_unlock(&locked->lock);
    share->tokens = held;
    return enough;
}

/*
 * Spends `bytes` of a budget. False if it is used up. Without a limit, and with one as long as this
 * CPU's share lasts, nothing is written that another CPU uses. Bytes that pass a device's budget
 * are counted even without a limit: they are the copies in the device's traffic.
 */
static __always_inline bool spend(__u32 key, __u64 bytes, __u64 packets) {
    struct budget *budget = bpf_map_lookup_elem(&budget_rates, &key);
    struct budget_share *share;

    if (!budget || (!budget->rate && key < FIRST_DEVICE_BUDGET))
        return true;
    share = bpf_map_lookup_elem(&budget_shares, &key);
    if (!share)
        return true;
    if (budget->rate) {
        __s64 most = budget->burst >> SHARE_SHIFT;

        if (share->tokens > most) /* the rate was higher */
            share->tokens = most;
        if (share->tokens >= (__s64)bytes)
            share->tokens -= bytes;
        else if (!draw(key, budget, share, bytes, packets))
            return false;
    }
    share->passed += bytes;
    return true;
}

/* Undoes a `spend` that was allowed, on the same CPU. */
static __always_inline void give_back(__u32 key, __u64 bytes) {
    struct locked_bucket *locked = bpf_map_lookup_elem(&budget_buckets, &key);
    struct budget_share *share = bpf_map_lookup_elem(&budget_shares, &key);

    if (!locked || !share)
        return;
    if (share->passed >= bytes) /* it did not count without a limit */
        share->passed -= bytes;
    bpf_spin_lock(&locked->lock);
    locked->bucket.tokens +=
        bytes; /* beyond its burst where it has no limit: the next `spend` under one sees to that */
    bpf_spin_unlock(&locked->lock);
}

/*
 * True if the budgets of the policy, of the device by which the copy leaves the node, and of the
 * node allow a copy.
 */
static __always_inline bool is_within_budget(struct capture *capture, __u64 packets, __u64 bytes) {
    __u64 on_wire = bytes + packets * capture->overhead;
    __u32 device = capture->device_budget;

    if (capture->budget && !spend(capture->budget, bytes, packets))
        return false;
    if (!device || spend(device, on_wire, packets)) {
        if (spend(NODE_BUDGET, bytes, packets))
            return true;
        if (device)
            give_back(device, on_wire);
    }
    if (capture->budget)
        give_back(capture->budget, bytes);
    return false;
}

#endif

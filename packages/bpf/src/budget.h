/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* budget: how many bytes of copies a policy, and the node, may make a second. */
#ifndef MIRRORPLANE_BUDGET_H
#define MIRRORPLANE_BUDGET_H

#include "maps.h"

#define NODE_BUDGET 0
#define NS_PER_SECOND 1000000000ULL

/* Takes `bytes` out of a bucket; false where there are not enough. */
static __always_inline bool spend(__u32 slot, __u64 bytes) {
    struct locked_budget *locked = bpf_map_lookup_elem(&budgets, &slot);
    struct budget *budget;
    bool enough;
    __u64 elapsed;
    __u64 now;

    if (!locked || !locked->budget.rate)
        return true;
    budget = &locked->budget;
    now = bpf_ktime_get_ns();
    bpf_spin_lock(&locked->lock);
    elapsed = now - budget->filled;
    if (elapsed >= NS_PER_SECOND) { /* also the first time */
        budget->tokens = budget->burst;
        budget->filled = now;
    } else {
        __u64 earned = elapsed * budget->rate / NS_PER_SECOND; /* fits for up to 137 Gbit/s */
        if (earned) {                                          /* what is less than a byte is not forgotten */
            budget->filled = now;
            budget->tokens += earned;
            if (budget->tokens > budget->burst)
                budget->tokens = budget->burst;
        }
    }
    enough = budget->tokens >= bytes;
    if (enough)
        budget->tokens -= bytes;
    bpf_spin_unlock(&locked->lock);
    return enough;
}

static __always_inline void give_back(__u32 slot, __u64 bytes) {
    struct locked_budget *locked = bpf_map_lookup_elem(&budgets, &slot);

    if (!locked || !locked->budget.rate)
        return;
    bpf_spin_lock(&locked->lock);
    locked->budget.tokens += bytes;
    bpf_spin_unlock(&locked->lock);
}

/* True where the budget of the policy and that of the node allow a copy of `bytes`. */
static __always_inline bool is_within_budget(__u32 policy, __u64 bytes) {
    if (policy && !spend(policy, bytes))
        return false;
    if (spend(NODE_BUDGET, bytes))
        return true;
    if (policy)
        give_back(policy, bytes);
    return false;
}

#endif

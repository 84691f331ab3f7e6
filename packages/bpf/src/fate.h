/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fate: what became of the copy of a packet, told by the programs that capture to `watch`, which
 * comes behind them at the same hook and on the same CPU. Between the two no packet passes but
 * copies, and those tell nothing.
 */
#ifndef MIRRORPLANE_FATE_H
#define MIRRORPLANE_FATE_H

#include "maps.h"

/* The packet at this device, as one that passes this hook of a capture. */
static __always_inline __u32 packet_at(__u32 ifindex, enum hook hook) {
    return ifindex << 1 | hook;
}

static __always_inline void tell_fate(struct copy_context *copy, enum told whose, __u32 ifindex, enum hook hook,
                                      __u32 fate) {
    if (!copy->active)
        copy->told[whose] = (__u64)packet_at(ifindex, hook) << 32 | fate;
}

/* A packet on its way out of a device: it was accounted for where it entered the bridge. */
static __always_inline void tell_counted(__u32 ifindex) {
    struct copy_context *copy = this_copy();

    if (copy)
        tell_fate(copy, TOLD_AT_DEVICE, ifindex, HOOK_EGRESS, FATE_COUNTED_ON_ARRIVAL);
}

/*
 * An enum copy_fate. Told once: where no program captures any more, an old word is not taken for a
 * new one.
 */
static __always_inline __u32 take_fate(struct copy_context *copy, enum told whose, __u32 ifindex, enum hook hook) {
    __u64 told = copy->told[whose];

    if (copy->active)
        return FATE_SKIPPED + SKIP_IS_COPY;
    copy->told[whose] = 0;
    return told >> 32 == packet_at(ifindex, hook) ? (__u32)told : FATE_NO_CAPTURE;
}

#endif

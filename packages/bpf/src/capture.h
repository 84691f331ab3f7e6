/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* capture: is this packet to be copied, and how? The original always goes on as it is. */
#ifndef MIRRORPLANE_CAPTURE_H
#define MIRRORPLANE_CAPTURE_H

#include "counters.h"
#include "packet.h"

/*
 * Mark of copies that `terminate` hands to a local device: the capture at that device's egress hook sees them
 * after terminate has returned, so copy_context cannot tell. All 32 bits are compared.
 */
#define COPY_MARK 0x4d697272

static __always_inline void copy_out(struct __sk_buff *skb, struct capture *capture, struct copy_context *copy,
                                     __u32 length) {
    bool direct = capture->direct_mtu != 0;
    long verdict;

    copy->handled = 0;
    copy->delivery = capture->delivery;
    copy->erspan_index = capture->erspan_index;
    if (direct && !fits(length, capture->direct_mtu)) {
        count_dropped(copy, DROP_TOO_BIG_FOR_DESTINATION);
        return;
    }
    copy->active = 1;
    verdict = bpf_clone_redirect(skb, capture->out_ifindex, 0);
    copy->active = 0;
    if (copy->handled)
        return;
    if (!verdict && direct) {
        count_copied(copy, false);
        count_sent(capture->delivery, copy->packets, copy->bytes);
    } else {
        count_dropped(copy, verdict == -ENOMEM ? DROP_CLONE_FAILED : DROP_DESTINATION_DOWN);
    }
}

static __always_inline int capture(struct __sk_buff *skb, enum hook hook) {
    struct capture_key key = {.ifindex = skb->ifindex, .hook = hook};
    struct capture *capture = bpf_map_lookup_elem(&captures, &key);
    struct capture_counters *counters;
    struct copy_context *copy;
    struct wire_size size;

    if (!capture)
        return TCX_NEXT;
    counters = bpf_map_lookup_elem(&capture_counters, &capture->slot);
    copy = this_copy();
    if (!counters || !copy)
        return TCX_NEXT;
    measure(skb, &size);
    if (copy->active || skb->mark == COPY_MARK) {
        add(&counters->skipped[SKIP_IS_COPY], size.packets, size.bytes);
        return TCX_NEXT;
    }
    if (capture->skip_vlan_id && outer_vlan_id(skb) == capture->skip_vlan_id) {
        add(&counters->skipped[SKIP_SAME_VLAN], size.packets, size.bytes);
        return TCX_NEXT;
    }
    add(&counters->matched, size.packets, size.bytes);
    if (bpf_get_prandom_u32() >= capture->threshold) {
        add(&counters->sampled_out, size.packets, size.bytes);
        return TCX_NEXT;
    }
    copy->slot = capture->slot;
    copy->packets = size.packets;
    copy->bytes = size.bytes;
    copy_out(skb, capture, copy, longest_frame(skb, size.headers));
    return TCX_NEXT;
}

#endif

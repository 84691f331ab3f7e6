/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * place: the network namespace of a packet. A device that is moved to another network namespace
 * keeps its tcx programs. There, an ifindex belongs to another device, so a copy would go to a
 * wrong device.
 */
#ifndef MIRRORPLANE_PLACE_H
#define MIRRORPLANE_PLACE_H

#include "maps.h"
#include "packet.h"
#include "skb.h"

/* Compares the namespace itself. True if the agent's namespace is not known yet. */
static __always_inline bool is_own_namespace(struct __sk_buff *skb, struct place *place) {
    struct sk_buff *kernel = (struct sk_buff *)skb;

    return !place || !place->netns || BPF_CORE_READ(kernel, dev, nd_net.net, ns.inum) == place->netns;
}

static __always_inline struct place *this_place(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&node_place, &zero);
}

/*
 * Whether a packet is in the network namespace of the agent. The ifindex of the helper device is
 * drawn at random out of a billion, so a device with this ifindex proves it. Only without such a
 * device, the namespace itself is compared.
 */
static __always_inline bool is_in_place(struct __sk_buff *skb) {
    struct place *place = this_place();

    return !place || !is_gone(skb, place->helper) || is_own_namespace(skb, place);
}

/*
 * The same for frequent packets. It is checked once in a tick of the kernel, and `checked` has the
 * number of the tick. This is enough, because a device that is moved to another namespace is down
 * for longer.
 */
static __always_inline bool is_in_place_lately(struct __sk_buff *skb, __u32 *checked) {
    __u32 now = bpf_jiffies64();

    if (*checked == now)
        return true;
    if (!is_in_place(skb))
        return false;
    *checked = now;
    return true;
}

/*
 * Whether a capture is still valid: its device exists, and the packet is in the namespace of the
 * agent. It is checked once in a tick, because the removal of a device takes longer.
 */
static __always_inline bool is_valid(struct __sk_buff *skb, struct capture *capture, __u32 ifindex) {
    if (capture->checked == (__u32)bpf_jiffies64())
        return true;
    return !is_gone(skb, ifindex) && is_in_place_lately(skb, &capture->checked);
}

#endif

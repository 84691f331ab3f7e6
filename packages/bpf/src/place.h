/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device that is moved to another network namespace takes its tcx programs along. The numbers of devices mean others
 * there: a copy would go to whoever has that number.
 */
#ifndef MIRRORPLANE_PLACE_H
#define MIRRORPLANE_PLACE_H

#include "maps.h"
#include "packet.h"
#include "skb.h"

/* Asks for the namespace itself. True where it is not known yet. */
static __always_inline bool is_own_namespace(struct __sk_buff *skb, struct place *place) {
    struct sk_buff *kernel = (struct sk_buff *)skb;

    return !place || !place->netns || BPF_CORE_READ(kernel, dev, nd_net.net, ns.inum) == place->netns;
}

static __always_inline struct place *this_place(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&node_place, &zero);
}

/*
 * Whether a packet is in the network namespace of the agent. The number of the helper device is drawn at random out of
 * a billion, so that a device of that number proves it; the namespace itself is asked where there is none.
 */
static __always_inline bool is_in_place(struct __sk_buff *skb) {
    struct place *place = this_place();

    return !place || !is_gone(skb, place->helper) || is_own_namespace(skb, place);
}

/*
 * The same for packets that come often. Looked at once in a tick of the kernel, whose number `checked` keeps: a device
 * that is moved to another namespace is down for longer.
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
 * Whether a capture still means what it meant: its device is there, and the packet is in the namespace of the agent.
 * Looked at once in a tick: a device that goes takes longer.
 */
static __always_inline bool is_valid(struct __sk_buff *skb, struct capture *capture, __u32 ifindex) {
    if (capture->checked == (__u32)bpf_jiffies64())
        return true;
    return !is_gone(skb, ifindex) && is_in_place_lately(skb, &capture->checked);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * next-hop: the kernel finds the next hop, and keeps the packet until its address is known. It
 * would look for the route of each copy. So a CPU asks it once in a tick for each delivery, and
 * names the gateway to the kernel for the other copies of that tick.
 */
#ifndef MIRRORPLANE_NEXT_HOP_H
#define MIRRORPLANE_NEXT_HOP_H

#include "maps.h"
#include "place.h"
#include "verifier.h"

#define FAMILY_IPV4 2 /* AF_INET */

/*
 * Asks the kernel for the next hop of a delivery. The helper answers only for packets that come
 * from a device that forwards, so the question is about packets from the helper device, on which
 * the agent allows that. If the answer is another device, or none, `family` is 0: rules of the node
 * treat what it forwards and what it sends differently, and the kernel looks for each route itself.
 */
__global int find_next_hop(struct __sk_buff *skb, struct next_hop *hop) {
    struct place *place = this_place();
    struct bpf_fib_lookup route = {.family = FAMILY_IPV4, .l4_protocol = IPPROTO_GRE};
    long result;

    if (!hop)
        return 0;
    hop->family = 0;
    if (!place)
        return 0;
    route.ifindex = place->helper;
    route.ipv4_src = hop->source;
    route.ipv4_dst = hop->address;
    result = bpf_fib_lookup(skb, &route, sizeof(route), 0);
    if ((result == BPF_FIB_LKUP_RET_SUCCESS || result == BPF_FIB_LKUP_RET_NO_NEIGH) && route.family == FAMILY_IPV4 &&
        route.ifindex == hop->ifindex) {
        hop->family = FAMILY_IPV4;
        hop->gateway[0] = route.ipv4_dst;
    }
    return 0;
}

/*
 * Sends a copy to the next hop. Its outer link-layer address has to be unicast. The mark comes from
 * the original. It is cleared, because it must not route the copy.
 */
static __always_inline int to_next_hop(struct __sk_buff *skb, struct delivery *delivery) {
    __u32 slot = delivery->slot;
    struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &slot);
    __u32 now = bpf_jiffies64();

    skb->mark = 0;
    if (!hop)
        return bpf_redirect_neigh(delivery->ifindex, NULL, 0, 0);
    if (hop->tick != now || hop->address != delivery->address || hop->source != delivery->source_address ||
        hop->ifindex != delivery->ifindex) {
        hop->source = delivery->source_address;
        hop->address = delivery->address;
        hop->ifindex = delivery->ifindex;
        hop->tick = now;
        find_next_hop(skb, hop);
    }
    if (!hop->family)
        return bpf_redirect_neigh(delivery->ifindex, NULL, 0, 0);
    return bpf_redirect_neigh(delivery->ifindex, (struct bpf_redir_neigh *)&hop->family, sizeof(struct bpf_redir_neigh),
                              0);
}

#endif

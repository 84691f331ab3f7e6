/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * next-hop: the kernel finds the next hop, and keeps the packet until its address is known. It
 * would look for the route and the neighbour of each copy. So a CPU asks it once in a tick for each
 * delivery, and uses the answer for the other copies of that tick.
 */
#ifndef MIRRORPLANE_NEXT_HOP_H
#define MIRRORPLANE_NEXT_HOP_H

#include "maps.h"
#include "place.h"
#include "verifier.h"

#define FAMILY_IPV4 2 /* AF_INET */

static __always_inline bool has_address(const __u8 mac[6]) {
    return mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5];
}

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
    hop->linked = 0;
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
        /* A tunnel has none. Before 6.6 the kernel also finds a neighbour that has none yet. */
        hop->linked = result == BPF_FIB_LKUP_RET_SUCCESS && has_address(route.smac) && has_address(route.dmac);
        __builtin_memcpy(hop->link, route.dmac, 6);
        __builtin_memcpy(hop->link + 6, route.smac, 6);
    }
    return 0;
}

/* How a copy gets to the next hop. */
struct way {
    struct next_hop *hop; /* NULL: the kernel looks for all of it */
    bool linked;          /* the addresses of `hop->link` are used, else the kernel finds them */
};

/*
 * The next hop of a delivery. The first copy of a tick always asks the kernel for link-layer
 * addresses: so the kernel sees that they are used, and verifies them again.
 */
static __always_inline struct way way_of(struct __sk_buff *skb, struct delivery *delivery) {
    __u32 slot = delivery->slot;
    struct way way = {.hop = bpf_map_lookup_elem(&next_hops, &slot)};
    struct next_hop *hop = way.hop;
    __u32 now = bpf_jiffies64();

    if (!hop)
        return way;
    if (hop->tick == now && hop->address == delivery->address && hop->source == delivery->source_address &&
        hop->ifindex == delivery->ifindex) {
        way.linked = hop->linked;
        return way;
    }
    hop->source = delivery->source_address;
    hop->address = delivery->address;
    hop->ifindex = delivery->ifindex;
    hop->tick = now;
    find_next_hop(skb, hop);
    return way;
}

/*
 * Sends a copy to the next hop. If the kernel finds the link-layer address, that in the frame has to
 * be unicast. The mark comes from the original. It is cleared, because it must not route the copy.
 */
static __always_inline int to_next_hop(struct __sk_buff *skb, struct delivery *delivery, struct way way) {
    skb->mark = 0;
    if (way.linked)
        return bpf_redirect(delivery->ifindex, 0);
    if (!way.hop || !way.hop->family)
        return bpf_redirect_neigh(delivery->ifindex, NULL, 0, 0);
    return bpf_redirect_neigh(delivery->ifindex, (struct bpf_redir_neigh *)&way.hop->family,
                              sizeof(struct bpf_redir_neigh), 0);
}

#endif

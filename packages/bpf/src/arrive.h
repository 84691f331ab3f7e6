/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * arrive: unicast towards a mirrored guest, captured where it enters the guest's bridge, before a firewall on the
 * bridge can drop it. Hangs on the ingress of the bridge's ports and on the egress of the bridge device. Which MAC
 * address is behind which port is the bridge's own forwarding table, which user space keeps in the map `arrivals`. The
 * capture at the guest's device leaves exactly those frames alone, so that each is copied once.
 */
#ifndef MIRRORPLANE_ARRIVE_H
#define MIRRORPLANE_ARRIVE_H

#include "capture.h"

static __always_inline int arrive(struct __sk_buff *skb) {
    struct capture_key key = {.hook = HOOK_EGRESS};
    __u32 port = skb->ifindex;
    __u32 *bridge = bpf_map_lookup_elem(&arrival_ports, &port);
    __u32 *guest;

    if (!bridge)
        return TCX_NEXT;
    guest = find_arrival(skb, *bridge);
    /* A frame that comes from the port of the guest itself is not sent back to it. */
    if (!guest || *guest == port)
        return TCX_NEXT;
    key.ifindex = *guest;
    return capture_as(skb, &key, true);
}

#endif

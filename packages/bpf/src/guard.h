/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * guard: what an edge device carries beside business traffic. Management, storage, overlay tunnels and our own
 * ERSPAN have an address of the node itself on the node's side; copies on their way to a recorder have a VLAN ID
 * that a policy pushes, and addresses of what it mirrors.
 */
#ifndef MIRRORPLANE_GUARD_H
#define MIRRORPLANE_GUARD_H

#include "maps.h"
#include "packet.h"
#include "probed.h"
#include "sent.h"
#include "verifier.h"

#define NEXT_ICMPV6 58
#define ND_SOLICITATION 135

static __always_inline bool is_host_address(struct host_address *address) {
    return bpf_map_lookup_elem(&host_addresses, address) != NULL;
}

static __always_inline bool is_host_ipv4(struct __sk_buff *skb, __u32 offset) {
    struct host_address address = {};

    address.bytes[10] = 0xff;
    address.bytes[11] = 0xff;
    return !bpf_skb_load_bytes(skb, offset, &address.bytes[12], 4) && is_host_address(&address);
}

static __always_inline bool is_host_ipv6(struct __sk_buff *skb, __u32 offset) {
    struct host_address address;

    return !bpf_skb_load_bytes(skb, offset, &address, sizeof(address)) && is_host_address(&address);
}

/*
 * A solicitation goes to a multicast address. The wanted address is in the message (RFC 4861, 4.3).
 */
static __always_inline bool solicits_host(struct __sk_buff *skb, __u32 offset) {
    __u8 byte;

    if (bpf_skb_load_bytes(skb, offset + 6, &byte, 1) || byte != NEXT_ICMPV6)
        return false;
    if (bpf_skb_load_bytes(skb, offset + 40, &byte, 1) || byte != ND_SOLICITATION)
        return false;
    return is_host_ipv6(skb, offset + 48);
}

/*
 * True if the node's side of this frame is the node itself: the receiver on ingress, the sender on
 * egress. ARP and neighbour discovery for the node's own addresses count too, from any sender: a
 * node that tests an address before it uses it (RFC 4862, 5.4; RFC 5227) has no source address.
 */
static __always_inline bool is_host_traffic(struct __sk_buff *skb, enum hook hook) {
    bool received = hook == HOOK_INGRESS;
    __u32 offset = ETH_HEADER_LEN;
    __u16 protocol;

    if (bpf_skb_load_bytes(skb, ETH_HEADER_LEN - 2, &protocol, sizeof(protocol)))
        return false;
    if (is_vlan_protocol(protocol)) {
        if (bpf_skb_load_bytes(skb, offset + 2, &protocol, sizeof(protocol)))
            return false;
        offset += VLAN_TAG_LEN;
    }
    if (protocol == bpf_htons(ETH_P_IP))
        return is_host_ipv4(skb, offset + (received ? 16 : 12));
    if (protocol == bpf_htons(ETH_P_ARP))
        return is_host_ipv4(skb, offset + 24) || (!received && is_host_ipv4(skb, offset + 14));
    if (protocol == bpf_htons(ETH_P_IPV6))
        return is_host_ipv6(skb, offset + (received ? 24 : 8)) || solicits_host(skb, offset);
    return false;
}

static __always_inline bool has_vlan(__u32 set, __u32 vlan_id) {
    __u8 *bits = bpf_map_lookup_elem(&copy_vlans, &set);

    if (!bits)
        return false;
    forget(vlan_id);
    return bits[(vlan_id >> 3) & 511] & (1 << (vlan_id & 7));
}

/* True if a frame has come into this node by a device that leads to the physical network. */
static __always_inline bool is_from_outside(struct __sk_buff *skb, enum hook hook) {
    __u32 device = skb->ingress_ifindex;

    return hook == HOOK_INGRESS || bpf_map_lookup_elem(&physical_devices, &device) != NULL;
}

static __always_inline bool has_copy_mac(struct copy_mac *key, __u32 side) {
    __u32 *sides = bpf_map_lookup_elem(&copy_macs, key);

    return sides && *sides & side;
}

/*
 * True if a frame with a VLAN ID of VLANS_OF_GUESTS can be a copy of a frame from or to one of
 * these guests.
 */
static __always_inline bool is_copy_of_guest(struct __sk_buff *skb, __u32 vlan_id) {
    struct copy_mac from = {.vlan_id = vlan_id};
    struct copy_mac to = {.vlan_id = vlan_id};

    if (bpf_skb_load_bytes(skb, 0, to.mac, sizeof(to.mac)) ||
        bpf_skb_load_bytes(skb, sizeof(to.mac), from.mac, sizeof(from.mac)))
        return true;
    if (is_probe_address(from.mac))
        return true;
    if (to.mac[0] & 1) {
        __builtin_memset(to.mac, 0, sizeof(to.mac));
        to.mac[0] = 1;
    }
    return has_copy_mac(&to, COPY_MAC_DESTINATION) || has_copy_mac(&from, COPY_MAC_SOURCE);
}

/*
 * True if a switch has brought a copy here. Copies from edges of this node are recognised one by
 * one, because production traffic may have the VLAN ID too, and the original of the copy may be on
 * its way out. Copies of guests from edges of other nodes have addresses of these guests. All other
 * copies are recognised by the VLAN ID. Guests may use this VLAN ID themselves.
 */
static __always_inline bool is_returned_copy(struct __sk_buff *skb, enum hook hook, bool is_edge) {
    __u32 vlan_id = outer_vlan_id(skb);

    if (!vlan_id)
        return false;
    if (has_vlan(VLANS_OF_OTHERS, vlan_id))
        return is_edge || is_from_outside(skb, hook);
    if (has_vlan(VLANS_OF_GUESTS, vlan_id) && is_from_outside(skb, hook) && is_copy_of_guest(skb, vlan_id))
        return true;
    return has_vlan(VLANS_OF_NODE, vlan_id) && is_from_outside(skb, hook) && was_sent(skb, vlan_id);
}

#endif

/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * feedback: handles destinations that send their copies on. If the guest of a destination sends
 * frames with another host's address, the bridge learns this address behind the destination, and
 * originals are lost. So such frames are recognised when they leave the guest, before the bridge
 * sees them.
 *
 * The direction in which an address first came decides
 * (docs/adr/0041-whose-address-a-frame-has.md):
 * - If the guest used the address before it came in, the address is the guest's own, and stays so.
 * - If the address came in first, it is not the guest's own. Copies show this. While a destination
 *   sends copies on, packets that the bridge sends into its device are checked too. They correct
 *   addresses that were learnt too early.
 * - An address that moves to the guest (VRRP, a bond, a nested guest) is announced by a broadcast,
 *   or a multicast of the link, that did not come in before. A frame that the guest only sends on
 *   did come in before.
 *
 * Some of these frames pass, because the policy allows them or the address is the guest's own. They
 * are not copied again: on this node they have a token, and their copies from other nodes are not
 * delivered.
 */
#ifndef MIRRORPLANE_FEEDBACK_H
#define MIRRORPLANE_FEEDBACK_H

#include "counters.h"
#include "identity.h"
#include "packet.h"
#include "place.h"
#include "token.h"
#include "verifier.h"

/* The time for which a bridge remembers an address by default, ns. */
#define FEEDBACK_MEMORY 300000000000ULL
/* The time within which an announcement may be sent on, ns. */
#define ANNOUNCEMENT_MEMORY 30000000000ULL
/*
 * The time within which other frames may be sent on, ns. Less than the second after which a guest
 * repeats a request.
 */
#define ECHO_MEMORY 900000000ULL
/*
 * The window for the bounds of new addresses of one device, ns. So a flood does not remove
 * addresses of other devices.
 */
#define ADDRESS_WINDOW 60000000000ULL
#define OWN_MOST 1024
#define NOTED_MOST 8192
/* In place of a delivery: the frame is no copy. */
#define NO_DELIVERY (~0U)

/* Kinds of frames that a destination's guest sends. */
enum feedback {
    FEEDBACK_NONE,
    FEEDBACK_PASSED, /* it may pass, and must not be copied */
    FEEDBACK_STOPPED,
};

/* Facts about an incoming frame, bits. */
enum arrival_note {
    NOTE_EACH = 1,  /* each such frame must be recognised again */
    NOTE_ECHO = 2,  /* the destination has sent it, as a copy that it got before */
    NOTE_FIRST = 4, /* the destination has sent it before it came in */
};

/* A MAC address as a number: byte i in bits 8i. */
static __always_inline __u64 mac_number(const __u16 *mac) {
    return mac[0] | (__u64)mac[1] << 16 | (__u64)mac[2] << 32;
}

/*
 * Broadcast, and multicast that no router forwards: 01:00:5e:00:00:xx (224.0.0.0/24),
 * 33:33:00:00:00:xx (ff02::xx).
 */
static __always_inline bool is_announcement(__u64 destination) {
    __u64 group = destination & 0xffffffffffULL;

    return destination == 0xffffffffffffULL || group == 0x00005e0001ULL || group == 0x0000003333ULL;
}

static __always_inline bool is_within(__u64 time, __u64 memory, __u64 now) {
    return time && now - time < memory;
}

/* A frame came into the destination's device. Returns NOTE_ECHO and NOTE_FIRST. */
__global int remember_frame(struct __sk_buff *skb, __u32 ifindex) {
    struct arrived_key key = {.ifindex = ifindex};
    __u64 now = bpf_ktime_get_ns();
    struct arrived fresh = {.came = now};
    struct arrived *arrived;

    key.hash = frame_hash(skb);
    arrived = bpf_map_lookup_elem(&arrived_frames, &key);
    if (!arrived) {
        bpf_map_update_elem(&arrived_frames, &key, &fresh, BPF_ANY);
        return 0;
    }
    arrived->came = now;
    return (is_within(arrived->sent, ECHO_MEMORY, now) ? NOTE_ECHO : 0) |
           (is_within(arrived->first, ANNOUNCEMENT_MEMORY, now) ? NOTE_FIRST : 0);
}

/*
 * True if a frame of the guest came into its device recently. The frame is recorded as one that
 * passes.
 */
__global bool has_arrived(struct __sk_buff *skb) {
    struct arrived_key key = {.ifindex = skb->ifindex};
    __u64 now = bpf_ktime_get_ns();
    struct arrived *arrived;

    key.hash = frame_hash(skb);
    arrived = bpf_map_lookup_elem(&arrived_frames, &key);
    if (!arrived || !is_within(arrived->came, ECHO_MEMORY, now))
        return false;
    arrived->sent = now;
    return true;
}

/* True if an announcement of the guest did not come into its device before. */
__global bool is_new_announcement(struct __sk_buff *skb) {
    struct arrived_key key = {.ifindex = skb->ifindex};
    __u64 now = bpf_ktime_get_ns();
    struct arrived fresh = {.first = now};
    struct arrived *arrived;

    key.hash = frame_hash(skb);
    arrived = bpf_map_lookup_elem(&arrived_frames, &key);
    if (!arrived) {
        bpf_map_update_elem(&arrived_frames, &key, &fresh, BPF_ANY);
        return true;
    }
    if (is_within(arrived->came, ANNOUNCEMENT_MEMORY, now) && !is_within(arrived->first, ANNOUNCEMENT_MEMORY, now))
        return false;
    arrived->first = now;
    return true;
}

/* The destination of a device. NULL if it is none. Its record begins with the first frame. */
static __always_inline struct destination *destination_of(__u32 ifindex, __u64 now) {
    struct destination *destination = bpf_map_lookup_elem(&destinations, &ifindex);

    if (destination && !destination->since)
        destination->since = now;
    return destination;
}

/* Whether one more address is accepted. `taken`: number of accepted addresses in this window. */
static __always_inline bool has_room(struct destination *destination, __u32 *taken, __u32 most, __u64 now) {
    if (now - destination->window > ADDRESS_WINDOW) {
        destination->window = now;
        destination->own = 0;
        destination->noted = 0;
    }
    if (*taken >= most)
        return false;
    *taken += 1;
    return true;
}

/* An address that is not the guest's own came into the destination's device. */
static __always_inline void note_foreign(struct destination *destination, struct source_address *key,
                                         __u32 delivery_key, bool guarded, __u64 now) {
    struct foreign_source *source = bpf_map_lookup_elem(&foreign_sources, key);
    struct foreign_source fresh = {};
    bool is_new = !source;

    if (is_new && !has_room(destination, &destination->noted, NOTED_MOST, now))
        return;
    if (!source)
        source = &fresh;
    source->seen = now;
    if (delivery_key != NO_DELIVERY) {
        source->copied = now;
        source->delivery = delivery_key;
    }
    if (guarded) {
        source->guarded = now;
        source->guard = delivery_key;
    }
    if (is_new)
        bpf_map_update_elem(&foreign_sources, key, &fresh, BPF_ANY);
}

/*
 * Records a frame that comes into a destination's device. Called for the first frame with an
 * address, again after some seconds, and for each frame that must be recognised again. Returns bits
 * of arrival_note.
 */
__global int note_address(struct __sk_buff *skb, __u32 ifindex, __u32 delivery_key) {
    __u64 now = bpf_ktime_get_ns();
    struct destination *destination = destination_of(ifindex, now);
    struct source_address key = {.ifindex = ifindex};
    struct delivery *delivery = NULL;
    bool announcement;
    bool each = false;
    __u16 head[6];
    int note = 0;
    __u64 *own;

    if (!destination || bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
        return 0;
    if (now < destination->since) /* another CPU has set it meanwhile */
        now = destination->since;
    __builtin_memcpy(key.mac, &head[3], sizeof(key.mac));
    if (key.mac[0] & 1)
        return 0;
    if (delivery_key != NO_DELIVERY)
        delivery = bpf_map_lookup_elem(&deliveries, &delivery_key);
    own = bpf_map_lookup_elem(&own_sources, &key);
    if (delivery) {
        each = own || delivery->allow_feedback;
        if (own)
            *own = now;
    }
    announcement = is_announcement(mac_number(head));
    if (each || announcement)
        note = remember_frame(skb, ifindex);
    /*
     * The guest's own frame comes back as a copy or from a switch, and proves nothing about its
     * address.
     */
    if (!(announcement && note & (NOTE_FIRST | NOTE_ECHO)) && (!own || delivery_key == NO_DELIVERY)) {
        if (own)
            bpf_map_delete_elem(&own_sources, &key);
        note_foreign(destination, &key, delivery_key, delivery && !delivery->allow_feedback, now);
    }
    return each ? NOTE_EACH | note : 0;
}

/*
 * The period in which a CPU notes an address once: some seconds. It also ends when a device becomes
 * a destination's, because earlier notes do not count for this device (destination.since).
 */
static __always_inline __u64 noted_period(void) {
    struct place *place = this_place();

    return (bpf_jiffies64() >> 12) + (place ? place->begun : 0);
}

/*
 * Notes the source address of a frame that is about to enter a destination's device. On each CPU,
 * only the first frame in a period is examined, for each address, device and delivery. All others
 * cost one comparison. True if the frame is an echo, see arrival_note.
 */
static __always_inline bool note_source(struct __sk_buff *skb, struct copy_context *copy, __u32 ifindex,
                                        __u32 delivery) {
    __u64 whose = (__u64)ifindex << 32 | delivery;
    __u16 *head = (void *)(long)skb->data;
    struct noted_source *noted;
    __u64 address;
    __u32 slot;
    int note;

    if ((void *)(head + 6) > (void *)(long)skb->data_end)
        return note_address(skb, ifindex, delivery) & NOTE_ECHO;
    address = mac_number(head + 3) | noted_period() << 48;
    slot = ((__u32)address ^ (__u32)(address >> 32) ^ ifindex) * 0x9e3779b1U >> 22;
    forget(slot);
    noted = &copy->noted[slot & (NOTED_SOURCES - 1)];
    if (noted->address == address && noted->whose == whose && !(head[0] & 1 && is_announcement(mac_number(head))))
        return false;
    note = note_address(skb, ifindex, delivery);
    noted->address = note & NOTE_EACH ? 0 : address;
    noted->whose = whose;
    return note & NOTE_ECHO;
}

/* An address is the guest's own. */
static __always_inline void learn(struct destination *destination, struct source_address *key, __u64 now) {
    __u64 never = 0;

    if (has_room(destination, &destination->own, OWN_MOST, now))
        bpf_map_update_elem(&own_sources, key, &never, BPF_ANY);
}

static __always_inline bool is_own(__u32 ifindex, const __u16 *mac) {
    struct source_address key = {.ifindex = ifindex};

    __builtin_memcpy(key.mac, mac, sizeof(key.mac));
    return bpf_map_lookup_elem(&own_sources, &key) != NULL;
}

/*
 * The source address of a frame from this device's guest, if it is not the guest's own and policies
 * have copied it. Otherwise NULL. `echo`: the address is the guest's own, but the frame is a copy.
 */
static __always_inline struct foreign_source *foreign_source(struct __sk_buff *skb, __u64 now, bool *echo) {
    struct source_address key = {.ifindex = skb->ifindex};
    struct destination *destination;
    struct foreign_source *source;
    bool announcement;
    __u16 head[6];
    bool is_new;
    __u64 *own;

    if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
        return NULL;
    __builtin_memcpy(key.mac, &head[3], sizeof(key.mac));
    if (key.mac[0] & 1)
        return NULL;
    announcement = is_announcement(mac_number(head));
    is_new = announcement && is_new_announcement(skb);
    own = bpf_map_lookup_elem(&own_sources, &key);
    if (own) {
        *echo = is_within(*own, ECHO_MEMORY, now) && has_arrived(skb);
        return NULL;
    }
    destination = destination_of(skb->ifindex, now);
    if (!destination)
        return NULL;
    if (destination->arriving) { /* copies of its frames from before the move may be here already */
        destination->arriving = 0;
        learn(destination, &key, now);
        return NULL;
    }
    source = bpf_map_lookup_elem(&foreign_sources, &key);
    if (!source || !is_within(source->seen, FEEDBACK_MEMORY, now) || source->seen < destination->since) {
        /*
         * A broadcast, or a frame to the guest, may be another host's frame that the guest sends
         * on.
         */
        if (!announcement && !is_own(skb->ifindex, head))
            learn(destination, &key, now);
        return NULL;
    }
    if (is_new) {
        learn(destination, &key, now);
        return NULL;
    }
    return is_within(source->copied, FEEDBACK_MEMORY, now) ? source : NULL;
}

/* False if a policy that did not allow feedback allows it now, or is gone. */
static __always_inline bool is_guarded_by(__u32 delivery_key) {
    struct delivery *delivery = bpf_map_lookup_elem(&deliveries, &delivery_key);

    return delivery && !delivery->allow_feedback;
}

/*
 * Returns an enum feedback. Recognised frames are counted for the policy that has last copied the
 * address.
 */
__global int judge_frame(struct __sk_buff *skb) {
    __u64 now = bpf_ktime_get_ns();
    bool echo = false;
    struct foreign_source *source = foreign_source(skb, now, &echo);
    __u32 ifindex = skb->ifindex;
    struct destination *destination = bpf_map_lookup_elem(&destinations, &ifindex);
    struct delivery_counters *counters;
    struct delivery *delivery;
    struct wire_size size;
    bool guarded;
    __u32 key;

    if ((source || echo) && destination)
        destination->feedback = now;
    if (!source)
        return echo ? FEEDBACK_PASSED : FEEDBACK_NONE;
    guarded = is_within(source->guarded, FEEDBACK_MEMORY, now) && is_guarded_by(source->guard);
    key = source->delivery;
    delivery = bpf_map_lookup_elem(&deliveries, &key);
    counters = bpf_map_lookup_elem(&delivery_counters, &key);
    if (!delivery || !counters || delivery->ifindex != ifindex) /* of a deleted policy */
        return FEEDBACK_NONE;
    measure(skb, &size);
    add(&counters->feedback, size.packets, size.bytes);
    if (guarded)
        return FEEDBACK_STOPPED;
    has_arrived(skb);
    return FEEDBACK_PASSED;
}

/* Judges a frame that comes out of a destination's device. */
static __always_inline int feedback_of(struct __sk_buff *skb) {
    int feedback;

    if (skb->tc_index == FEEDBACK_TOKEN)
        return FEEDBACK_PASSED;
    feedback = judge_frame(skb);
    if (feedback == FEEDBACK_PASSED) {
        skb->tc_index = FEEDBACK_TOKEN;
        skb->tc_classid = FEEDBACK_TOKEN; /* see arrive.h */
    }
    return feedback;
}

/*
 * The same, for programs that run in addition to `arrive`. If `arrive` has run, it has already
 * judged the frame, and a copy of it may have come in since.
 */
static __always_inline int feedback_beside_arrive(struct __sk_buff *skb) {
    __u32 port = skb->ifindex;

    if (skb->tc_index & ARRIVAL_TOKEN && skb->tc_index != FEEDBACK_TOKEN && bpf_map_lookup_elem(&arrival_ports, &port))
        return FEEDBACK_NONE;
    return feedback_of(skb);
}

/* For frames that the guest sends. */
static __always_inline int stop_feedback(struct __sk_buff *skb) {
    return feedback_beside_arrive(skb) == FEEDBACK_STOPPED ? TC_ACT_SHOT : TCX_NEXT;
}

/*
 * For packets to the guest that are no copies. Only at devices with recent feedback, because it
 * costs each copy 15 ns.
 */
static __always_inline int note_original(struct __sk_buff *skb) {
    struct copy_context *copy = this_copy();

    if (copy && !copy->active)
        note_source(skb, copy, skb->ifindex, NO_DELIVERY);
    return TCX_NEXT;
}

#endif

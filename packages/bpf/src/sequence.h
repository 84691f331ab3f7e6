/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sequence: numbers of copies, so that a receiver can tell which are missing. CPUs number their
 * copies in lanes of their own, so that they do not share a counter. The upper 4 of the 32 bits say
 * the lane, and the others the number in it. More than 16 CPUs share the lanes. A super-packet takes
 * as many numbers as it has segments, and all of them carry the first. To a receiver that does not
 * know lanes, all copies are numbered in lane 0, and a super-packet takes one number: it sees a
 * sender that starts again after 2^28 copies. See docs/adr/0087-each-cpu-numbers-its-copies.md and
 * docs/adr/0092-a-loss-that-was-seen-stays.md.
 */
#ifndef MIRRORPLANE_SEQUENCE_H
#define MIRRORPLANE_SEQUENCE_H

#include "maps.h"
#include "verifier.h"

#define LANE_BITS 4
#define NUMBER_BITS (32 - LANE_BITS)
#define NUMBER_MASK ((1U << NUMBER_BITS) - 1)

_Static_assert(LANES == 1 << LANE_BITS, "a lane has LANE_BITS bits");

/*
 * The number of the next copy of a delivery. `packets`: its segments; 0 for a probe, which takes no
 * number. False: there is no such delivery slot.
 */
static __always_inline bool next_number(struct delivery *delivery, __u32 packets, __u32 *sequence) {
    __u32 lane = delivery->lanes ? bpf_get_smp_processor_id() & (LANES - 1) : 0;
    __u32 key = lane * DELIVERY_SLOTS + delivery->slot;
    __u64 *numbered = bpf_map_lookup_elem(&delivery_sequences, &key);
    __u32 step = delivery->lanes ? packets : packets != 0;

    if (!numbered)
        return false;
    *sequence = lane << NUMBER_BITS | (__sync_fetch_and_add(numbered, step) & NUMBER_MASK);
    return true;
}

/*
 * If a number is further behind than this, it is not late: the sender has started again. So many
 * super-packets of 64 segments, or single packets at the begin of a lane, where a sender starts.
 */
#define LATE_PACKETS 4096
#define LATE_NUMBERS (LATE_PACKETS << 6)
/*
 * A sender that starts again begins with 0. A number below this one that is further ahead than this
 * has passed the end of its lane: the sender has started again, and has not lost all between.
 */
#define FIRST_NUMBERS (1U << 16)
/*
 * A lane can be ahead by this much at any time, and by so much more for each tick since its last
 * packet: no CPU gives more numbers in a tick, of 1 to 4 milliseconds (at 4 ms, 33 million a second).
 * What is further ahead is not lost: the sender has started again.
 */
#define NUMBERS_AHEAD (1U << 24)
#define NUMBERS_A_TICK_SHIFT 17

/* How far a number is ahead of the expected one, negative where it is behind. Of the same lane. */
static __always_inline __s32 ahead_of(__u32 sequence, __u32 next) {
    return (__s32)((sequence - next) << LANE_BITS) >> LANE_BITS;
}

/* Whether the sender has started again. `ahead`: of its lane. `ticks`: since the last packet of it. */
static __always_inline bool has_started_again(__u32 sequence, __s32 ahead, __u32 ticks) {
    if (ahead < -LATE_NUMBERS)
        return true;
    if ((sequence & NUMBER_MASK) < FIRST_NUMBERS && (ahead > (__s32)FIRST_NUMBERS || ahead < -LATE_PACKETS))
        return true;
    return ahead > (__s64)NUMBERS_AHEAD + ((__s64)ticks << NUMBERS_A_TICK_SHIFT);
}

/*
 * Follows the sequence numbers of a sender. `packets`: those that came in this one. Segments carry
 * the first number of their super-packet. It is not atomic: GRE has no ports, so a sender's packets
 * arrive on one queue and CPU. If they do not, `missing` is an estimate.
 */
static __always_inline void follow_sequence(__u32 slot, __u32 sequence, __u32 packets) {
    struct sequence_state *state = bpf_map_lookup_elem(&termination_sequences, &slot);
    __u32 now = (__u32)bpf_jiffies64() | 1; /* not 0 */
    __u32 number = sequence >> NUMBER_BITS;
    struct lane_state *lane;
    __s32 ahead;

    if (!state)
        return;
    forget(number);
    lane = &state->lanes[number & (LANES - 1)];
    ahead = ahead_of(sequence, lane->next);
    if (lane->seen && sequence == lane->first) { /* one more segment */
        lane->next += packets;
    } else if (!lane->seen || has_started_again(sequence, ahead, now - lane->seen)) {
        lane->first = sequence;
        lane->next = sequence + packets;
    } else if (ahead_of(sequence, lane->first) > 0) {
        if (ahead > 0) /* skipped numbers were lost on the way */
            lane->missing += ahead;
        lane->first = sequence;
        lane->next = sequence + packets;
    } else if (lane->late + packets <= lane->missing) { /* else it is a duplicate, and no number is outstanding */
        lane->late += packets;
    }
    lane->seen = now;
}

#endif

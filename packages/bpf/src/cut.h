/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cut: truncates a copy that does not fit into the underlay. The remaining bytes are those of the
 * original on a wire. If the stack must still compute a checksum, the removed bytes are added to
 * its starting value.
 */
#ifndef MIRRORPLANE_CUT_H
#define MIRRORPLANE_CUT_H

#include "skb.h"
#include "split.h"

/*
 * Adds the bytes after `length` to a checksum that the stack must finish. Not 0: they cannot be
 * read.
 */
static __always_inline long keep_checksum(struct __sk_buff *skb, struct copy_context *copy,
                                          struct pending_checksum *pending, __u32 length) {
    __s64 sum = sum_bytes(skb, copy, length, skb->len - length, 0);
    __u32 tail;
    __u16 check;

    if (sum < 0 || bpf_skb_load_bytes(skb, pending->field, &check, sizeof(check)))
        return -1;
    tail = fold(sum);
    if ((length - pending->field) & 1) /* its first byte is the second of a word of the field */
        tail = (tail >> 8 | tail << 8) & 0xffff;
    check = fold(check + tail);
    return bpf_skb_store_bytes(skb, pending->field, &check, sizeof(check), 0);
}

/*
 * Computes a checksum that is left to the stack, as skb_checksum_help() does. `length`: of the
 * frame.
 */
static __always_inline long finish_checksum(struct __sk_buff *skb, struct copy_context *copy,
                                            struct pending_checksum *pending, __u32 length) {
    __s64 sum = sum_bytes(skb, copy, pending->start, length - pending->start, 0);
    __u16 check;

    if (sum < 0)
        return -1;
    check = ~fold(sum);
    if (!check)
        check = 0xffff;
    return bpf_skb_store_bytes(skb, pending->field, &check, sizeof(check), 0);
}

/*
 * Shortens a copy to `length` bytes. Called before the encapsulation, because afterwards the kernel
 * refuses.
 */
__global long cut(struct __sk_buff *skb, struct copy_context *copy, __u32 length) {
    struct pending_checksum pending;
    bool is_pending;
    bool keep;

    if (!copy)
        return -1;
    is_pending = read_pending_checksum(skb, &pending);
    /*
     * The cut divides the checksum field. Its first byte must be right, and the stack would not
     * compute it any more.
     */
    if (is_pending && length == pending.field + 1 && finish_checksum(skb, copy, &pending, skb->len))
        return -1;
    keep = is_pending && length >= pending.field + sizeof(__u16);
    if (keep && keep_checksum(skb, copy, &pending, length))
        return -1;
    if (!bpf_skb_change_tail(skb, length, 0))
        return 0;
    if (keep && finish_checksum(skb, copy, &pending, length))
        return -1;
    return rebuild(skb, length);
}

#endif

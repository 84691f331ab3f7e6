/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verifier: helps every compiler to make code that every verifier accepts. `make kernels` tries all
 * of them; docs/kernels.md has the table.
 */
#ifndef MIRRORPLANE_VERIFIER_H
#define MIRRORPLANE_VERIFIER_H

#include <bpf/bpf_helpers.h>

/*
 * A global function. The verifier checks it once, for any arguments, and not again for each path to
 * it (Documentation/bpf/verifier.rst). Its pointers must be checked for NULL. It is weak, so that
 * the compiler does not use its body at the call, because the verifier does not know the body
 * there.
 */
#define __global __weak __attribute__((noinline))

/*
 * Makes the compiler forget the range of a number, so that it keeps the following bound. Otherwise
 * the compiler drops a bound that it can prove, and a verifier that cannot prove it refuses the
 * program. Verifiers before 6.18 lose the range at a byte swap, and 6.1 also at a spill of 32 bits.
 */
#define forget(number) asm volatile("" : "+r"(number))

#endif

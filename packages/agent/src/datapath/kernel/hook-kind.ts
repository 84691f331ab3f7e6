/** Chooses tcx or clsact, by a probe of the kernel and not by its version. */
import type { HookKind } from '@mirrorplane/contract';
import { ClsactLinks } from './clsact-links.ts';
import { hasTcx } from './libbpf.ts';
import type { Links } from './links.ts';
import { TcxLinks } from './tcx-links.ts';

/** The choice of an operator. `auto`: tcx if the kernel has it, else clsact. */
export type HookChoice = 'auto' | HookKind;

/** Links of the chosen kind, and links of the other kind that an earlier agent may have made. */
export function makeLinks(choice: HookChoice, bpffs: string): { links: Links; others: Links } {
  const tcx = hasTcx();
  if (choice === 'tcx' && !tcx) {
    throw new Error('this kernel has no tcx (it needs Linux 6.6): use --hook auto or clsact, or a newer kernel');
  }
  const [first, second] = [new TcxLinks(bpffs), new ClsactLinks({ tcx })] as const;
  const useTcx = choice === 'tcx' || (choice === 'auto' && tcx);
  return useTcx ? { links: first, others: second } : { links: second, others: first };
}

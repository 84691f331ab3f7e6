/** The names that the running kernel has for reasons of drops. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { enumNames } from './btf-enums.ts';

const BTF = '/sys/kernel/btf';
/** Above these bits is the number of a subsystem (SKB_DROP_REASON_SUBSYS_SHIFT). */
const SUBSYSTEM_SHIFT = 16;
const PREFIX = /^SKB_(DROP_REASON_)?/;
const SUBSYSTEM = 'SKB_DROP_REASON_SUBSYS_';
/** Subsystems whose reasons are an enum of a module. */
const MODULES: Readonly<Record<string, { module: string; name: string }>> = {
  OPENVSWITCH: { module: 'openvswitch', name: 'ovs_drop_reason' },
};

/** Gives a reason its name. */
export class DropReasons {
  readonly #folder: string;
  #kernel: Buffer | undefined;
  readonly #names = new Map<number, string>();
  readonly #subsystems = new Map<number, string>();

  /** @param folder of the kernel's BTF. Default that of the running kernel */
  constructor(folder = BTF) {
    this.#folder = folder;
  }

  /**
   * Reads the names, where that has not been done. @throws Error if the kernel has no BTF
   */
  open(): void {
    if (this.#kernel !== undefined) {
      return;
    }
    this.#kernel = readFileSync(join(this.#folder, 'vmlinux'));
    for (const [number, name] of enumNames(this.#kernel, 'skb_drop_reason')) {
      this.#names.set(number, name.replace(PREFIX, ''));
    }
    for (const [number, name] of enumNames(this.#kernel, 'skb_drop_reason_subsys')) {
      this.#subsystems.set(number, name.replace(SUBSYSTEM, ''));
      this.#addModule(name.replace(SUBSYSTEM, ''));
    }
    this.#kernel = Buffer.alloc(0); // five megabytes
  }

  /**
   * For example NETFILTER_DROP, or OPENVSWITCH:7 where only the subsystem has a name. Empty: the
   * kernel gave no reason. A number that has no name is `#n`.
   */
  nameOf(reason: number): string {
    const name = this.#names.get(reason);
    if (name !== undefined) {
      return name === 'NOT_SPECIFIED' ? '' : name;
    }
    const subsystem = reason >>> SUBSYSTEM_SHIFT;
    return subsystem === 0 ? `#${reason}` : `${this.#subsystems.get(subsystem) ?? `#${subsystem}`}:${reason & 0xffff}`;
  }

  /** Whether this kernel has reasons of a subsystem. Without them it says nothing of its drops. */
  hasSubsystem(subsystem: string): boolean {
    return [...this.#subsystems.values()].includes(subsystem);
  }

  #addModule(subsystem: string): void {
    const found = MODULES[subsystem];
    if (found === undefined) {
      return;
    }
    try {
      const btf = readFileSync(join(this.#folder, found.module));
      for (const [number, name] of enumNames(btf, found.name, this.#kernel)) {
        this.#names.set(number, name);
      }
    } catch {
      // The module is not loaded, or has no BTF: its reasons stay numbers.
    }
  }
}

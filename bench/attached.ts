/** Programs of an object file at hooks of devices, beside those of the data plane. */
import { attachTcx, closeFd, detachLink, loadObject } from '@mirrorplane/agent/testing';

/** A program of the object file, and where it runs. */
export interface ProgramAt {
  program: string;
  ifindex: number;
  hook: 'ingress' | 'egress';
}

/**
 * Loads an object file, and attaches each program at the head of its tcx hook.
 * @returns what detaches them
 * @throws Error where the kernel refuses one, or has no tcx; then nothing stays attached
 */
export function attachPrograms(object: string, programs: readonly ProgramAt[]): () => void {
  const loaded = loadObject(object);
  const links: number[] = [];
  const detach = () => {
    for (const link of links.splice(0)) {
      detachLink(link);
      closeFd(link);
    }
    loaded.close();
  };
  try {
    for (const { program, ifindex, hook } of programs) {
      links.push(attachTcx(loaded.program(program), ifindex, hook));
    }
  } catch (error) {
    detach();
    throw error;
  }
  return detach;
}

/** Programs at the tcx hooks of a node, as the kernel names them. */
import { join } from 'node:path';
import type { Lab } from '@mirrorplane/lab';
import { PYTHON } from '../support/traffic.ts';

const TOOL = join(import.meta.dirname, 'tcx.py');

/** Ids of the programs at each hook of each device of a node, in the order in which they run. */
export type Hooks = Record<string, { ingress: number[]; egress: number[] }>;

/** Runs the tool in the namespace of a node. */
export async function tcx(lab: Lab, node: string, ...args: string[]): Promise<string> {
  return (await lab.exec(node, [PYTHON, TOOL, ...args])).stdout;
}

/** What hangs where on a node. */
export async function hooksOf(lab: Lab, node: string): Promise<Hooks> {
  return JSON.parse(await tcx(lab, node, 'list')) as Hooks;
}

/** The bpffs folder of a node's agent. */
export function bpffsOf(lab: Lab, node: string): string {
  const folder = lab.state.bpffs.find((path) => path.endsWith(`-${node}`));
  if (!folder) {
    throw new Error(`no bpffs folder of ${node}`);
  }
  return folder;
}

/** The state of a lab on disk: everything that is needed to remove the lab. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';
import { disownExpedited } from './daemon-users.ts';
import type { ProcessRecord } from './processes.ts';
import type { Topology } from './topology.ts';

/** Folder of all labs. Each lab has a folder with its name, for state, logs and sockets. */
export const DEFAULT_RUN_ROOT = '/run/mirrorplane-lab';
/**
 * A lab's name: a letter, then letters and digits, at most 6 characters. It has no hyphen, so that
 * no prefix of a lab's names is a prefix of another lab's names.
 */
export const LAB_NAME = /^[a-z][a-z0-9]{0,5}$/;

/** Everything that is needed to remove a lab. It is written before anything is made. */
export interface LabState {
  version: 1;
  name: string;
  runDir: string;
  createdAt: string;
  /** `building` until `up` has finished. A lab that stays in this phase was interrupted. */
  phase: 'building' | 'ready';
  topology: Topology;
  /** Namespaces of the lab, including those that do not exist yet. */
  namespaces: string[];
  /** bpffs folders that the lab's agents may have made. */
  bpffs: string[];
  processes: ProcessRecord[];
  /** Port on 127.0.0.1 of the root namespace that leads to the API. Null without a forwarder. */
  apiPort: number | null;
  /** The `mirrorplane` command that starts controller and agents. */
  command: string;
  /** Additional options of the agents, by node. */
  agentArguments: Record<string, string[]>;
  /** Additional options of the controller. Absent: none. */
  controllerArguments?: string[];
}

/** The lab does not exist, exists already, or cannot be made. The message is for the operator. */
export class LabError extends Error {}

/** The folder of a lab. Throws `LabError` for an invalid name. */
export function labRunDir(name: string, runRoot: string = DEFAULT_RUN_ROOT): string {
  if (!LAB_NAME.test(name)) {
    throw new LabError(`lab name '${name}': a letter, then letters and digits, at most 6 characters`);
  }
  return join(runRoot, name);
}

const stateFile = (runDir: string) => join(runDir, 'state.json');

/**
 * Makes the lab's folder and first state. The folder is also the lock: of two `up` with the same
 * name, one is refused.
 */
export function createState(state: LabState): void {
  mkdirSync(join(state.runDir, '..'), { recursive: true });
  try {
    mkdirSync(state.runDir, { mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw error;
    }
    throw new LabError(`lab ${state.name} exists already; remove it with: mirrorplane lab down --name ${state.name}`);
  }
  writeState(state);
}

/** Writes the state atomically: readers see the old or the new state. */
export function writeState(state: LabState): void {
  replaceFileSync(stateFile(state.runDir), `${JSON.stringify(state, null, 2)}\n`, { mode: 0o644 });
}

/** The state of a lab, or null where there is none. */
export function readState(runDir: string): LabState | null {
  if (!existsSync(stateFile(runDir))) {
    return null;
  }
  return JSON.parse(readFileSync(stateFile(runDir), 'utf8')) as LabState;
}

/**
 * Changes the state as it is on disk now, so that two parallel commands keep each other's records.
 */
export function updateState(runDir: string, change: (state: LabState) => void): LabState {
  const state = readState(runDir);
  if (state === null) {
    throw new LabError(`no lab at ${runDir}`);
  }
  change(state);
  writeState(state);
  return state;
}

/** Removes the lab's folder, and the folder of all labs if it was the last. */
export function removeState(runDir: string): void {
  rmSync(runDir, { recursive: true, force: true });
  const root = join(runDir, '..');
  if (existsSync(root) && readdirSync(root).length === 0) {
    rmSync(root, { recursive: true, force: true });
    disownExpedited();
  }
}

/** Names of the labs that exist. */
export function labNames(runRoot: string = DEFAULT_RUN_ROOT): string[] {
  if (!existsSync(runRoot)) {
    return [];
  }
  return readdirSync(runRoot)
    .filter((name) => LAB_NAME.test(name))
    .sort();
}

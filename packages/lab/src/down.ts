/** Removes a lab, whole or half made. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { netnsPath, run } from './netns.ts';
import { processesIn, stopProcesses, switchCommandsOf } from './processes.ts';
import { DEFAULT_RUN_ROOT, type LabState, labRunDir, readState, removeState } from './state.ts';

/** Removes the lab of this name, whole or half made. Returns false where there is none. */
export async function downLab(name: string, runRoot: string = DEFAULT_RUN_ROOT): Promise<boolean> {
  const runDir = labRunDir(name, runRoot);
  if (!existsSync(runDir)) {
    return false;
  }
  const state = readState(runDir);
  // A folder without state: `up` was killed before it made anything else.
  if (state === null) {
    removeState(runDir);
  } else {
    await removeLab(state);
  }
  return true;
}

/**
 * Removes everything a lab's state names, however far `up` came. Doing it twice is fine. Goes on past a failure and
 * throws all of them at the end; the state then stays, so that it can be tried again.
 */
async function removeLab(state: LabState): Promise<void> {
  const failures: unknown[] = [];
  const attempt = async (work: () => unknown) => {
    try {
      await work();
    } catch (error) {
      failures.push(error);
    }
  };
  // Agents before the controller, so that they do not spend their end on reconnecting; the switch last.
  const last = (name: string) => (name.startsWith('ovs') ? 2 : name === 'controller' ? 1 : 0);
  for (const rank of [0, 1, 2]) {
    await attempt(() => stopProcesses(state.processes.filter((p) => last(p.name) === rank)));
  }
  await attempt(() => stopProcesses(switchCommandsOf(state.runDir), 'SIGTERM', 2000));
  // What `lab exec` and the tests left running would keep a namespace alive for good.
  await attempt(() => stopProcesses(processesIn(state.namespaces), 'SIGTERM', 2000));
  for (const folder of state.bpffs) {
    await attempt(() => removeBpffs(folder));
  }
  for (const ns of state.namespaces) {
    await attempt(async () => {
      if (existsSync(netnsPath(ns))) {
        await run(['ip', 'netns', 'delete', ns]);
      }
    });
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, `lab ${state.name} is not removed completely: ${failures.join('; ')}`);
  }
  removeState(state.runDir);
}

/** An agent that was killed while it attached programs has left a mark, and a setting of the whole machine. */
function removeBpffs(folder: string): void {
  if (existsSync(join(folder, 'expedited'))) {
    writeFileSync('/sys/kernel/rcu_expedited', '0');
  }
  rmSync(folder, { recursive: true, force: true });
}

/** Removes a lab, also an incomplete one. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { netnsPath, run } from './netns.ts';
import { processesIn, stopProcesses, switchCommandsOf } from './processes.ts';
import { DEFAULT_RUN_ROOT, type LabState, labRunDir, readState, removeState } from './state.ts';

/** Removes the lab of this name, also an incomplete one. Returns false where there is none. */
export async function downLab(name: string, runRoot: string = DEFAULT_RUN_ROOT): Promise<boolean> {
  const runDir = labRunDir(name, runRoot);
  if (!existsSync(runDir)) {
    return false;
  }
  const state = readState(runDir);
  // A folder without state: `up` was killed before it made anything in it.
  if (state === null) {
    removeState(runDir);
  } else {
    await removeLab(state);
  }
  return true;
}

/**
 * Removes everything that a lab's state names, also if `up` did not finish. It can be repeated. It
 * continues after a failure, and throws all failures at the end. The state then stays, so that the
 * removal can be tried again.
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
  // Agents end before the controller, so that they do not try to reconnect. The switch ends last.
  const last = (name: string) => (name.startsWith('ovs') ? 2 : name === 'controller' ? 1 : 0);
  for (const rank of [0, 1, 2]) {
    await attempt(() => stopProcesses(state.processes.filter((p) => last(p.name) === rank)));
  }
  await attempt(() => stopProcesses(switchCommandsOf(state.runDir), 'SIGTERM', 2000));
  // Processes that `lab exec` or tests left running would keep a namespace alive.
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

/**
 * Removes a bpffs folder. An agent that was killed while it attached BPF programs may have left
 * `rcu_expedited` set, and a file that says so.
 */
function removeBpffs(folder: string): void {
  if (existsSync(join(folder, 'expedited'))) {
    writeFileSync('/sys/kernel/rcu_expedited', '0');
  }
  rmSync(folder, { recursive: true, force: true });
}

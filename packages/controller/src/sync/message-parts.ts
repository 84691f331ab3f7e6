/** Joins the parts of a message that an agent has divided. */
import {
  type AgentMessage,
  type Hello,
  type InventoryMessage,
  MAX_CAPTURE_STATUSES,
  MAX_DEVICES,
  MAX_PROBLEMS,
  type ProgramWantedMessage,
  type StatusMessage,
} from '@mirrorplane/contract';

type Part = Exclude<AgentMessage, Hello | ProgramWantedMessage>;

export class MessageParts {
  #devices: InventoryMessage['devices'] = [];
  #captures: StatusMessage['captures'] = [];
  #problems: StatusMessage['problems'] = [];

  /**
   * Adds a part. @returns the whole message after the last part, or a problem; undefined: more
   * parts follow
   */
  join(part: Part): Part | { problem: string } | undefined {
    if (part.type === 'inventory') {
      return this.#inventory(part);
    }
    return part.type === 'status' ? this.#status(part) : part;
  }

  #inventory({ more, ...part }: InventoryMessage): Part | { problem: string } | undefined {
    const devices = joined(this.#devices, part.devices);
    this.#devices = more ? devices : [];
    if (devices.length > MAX_DEVICES) {
      return { problem: `a node has at most ${MAX_DEVICES} devices` };
    }
    return more ? undefined : { ...part, devices };
  }

  #status({ more, ...part }: StatusMessage): Part | { problem: string } | undefined {
    const captures = joined(this.#captures, part.captures);
    const problems = joined(this.#problems, part.problems);
    [this.#captures, this.#problems] = more ? [captures, problems] : [[], []];
    if (captures.length > MAX_CAPTURE_STATUSES || problems.length > MAX_PROBLEMS) {
      return { problem: `a node reports at most ${MAX_CAPTURE_STATUSES} captures and ${MAX_PROBLEMS} problems` };
    }
    return more ? undefined : { ...part, captures, problems };
  }
}

function joined<T>(before: T[], added: T[]): T[] {
  return before.length === 0 ? added : [...before, ...added];
}

/**
 * Compares the problems of nodes with those that were last reported. No I/O; it only keeps state.
 */
import type { Event, EventDraft, NodeProblem } from '@mirrorplane/contract';
import type { JudgedNode } from '../reports/found-problems.ts';

/**
 * Milliseconds that a problem must last, or be over, before it is reported. Shorter changes are not
 * reported.
 */
const SETTLE_MS = 2000;
/** Codes with a separate event when they appear. Their end is reported here. */
const TOLD_ELSEWHERE: ReadonlySet<string> = new Set([
  'PROTOCOL_UNSUPPORTED',
  'NODE_SECOND_AGENT',
  'CERTIFICATE_CONTESTED',
  'NODE_REVOKED',
  'COUNTERS_REFUSED',
  'MESSAGES_REFUSED',
  'INTERFACE_CONTESTED',
  'INTERFACE_KIND_REFUSED',
]);

interface Told {
  /**
   * Time since when the state differs from the reported one, milliseconds. Undefined: it does not
   * differ.
   */
  since?: number | undefined;
  told: boolean;
}

export class NodeProblems {
  readonly #nodes = new Map<string, Map<string, Told>>();

  /** Remembers the reports of an earlier controller, so that a start alone is no change. */
  resume(nodes: ReadonlySet<string>, newestFirst: Iterable<Event>): void {
    for (const { kind, object, code } of newestFirst) {
      const ofNode = kind === 'nodeProblemBegan' || kind === 'nodeProblemEnded';
      if (ofNode && code !== undefined && nodes.has(object.name) && !this.#of(object.name).has(code)) {
        this.#of(object.name).set(code, { told: kind === 'nodeProblemBegan' });
      }
    }
  }

  /** True while a change is not reported yet, because it may not last. */
  get unsettled(): boolean {
    return [...this.#nodes.values()].some((codes) => [...codes.values()].some(({ since }) => since !== undefined));
  }

  /**
   * Events for changes since the last report. Nodes that are not in the list are forgotten.
   * @param now milliseconds of a monotonic clock
   */
  changes(judged: readonly JudgedNode[], now: number): EventDraft[] {
    const present = new Set(judged.map(({ name }) => name));
    for (const name of this.#nodes.keys()) {
      if (!present.has(name)) {
        this.#nodes.delete(name);
      }
    }
    return judged.flatMap((node) => this.#changesOf(node, now));
  }

  #changesOf({ name, reported, found, known }: JudgedNode, now: number): EventDraft[] {
    const codes = this.#of(name);
    const byCode = Map.groupBy([...found, ...reported], ({ code }) => code);
    const drafts: EventDraft[] = [];
    for (const code of new Set([...byCode.keys(), ...codes.keys()])) {
      const problems = byCode.get(code);
      const entry = codes.get(code) ?? { told: false };
      codes.set(code, entry);
      if ((problems !== undefined) === entry.told || (problems === undefined && !known)) {
        entry.since = undefined;
      } else {
        entry.since ??= now;
        if (now - entry.since >= SETTLE_MS) {
          codes.set(code, { told: !entry.told });
          const cause = found.some((problem) => problem.code === code) ? controller : agentOf(name);
          drafts.push(...(problems ? began(name, problems, cause) : [ended(name, code)]));
        }
      }
      if (!codes.get(code)!.told && problems === undefined) {
        codes.delete(code);
      }
    }
    return drafts;
  }

  #of(name: string): Map<string, Told> {
    const codes = this.#nodes.get(name) ?? new Map<string, Told>();
    this.#nodes.set(name, codes);
    return codes;
  }
}

const controller = { kind: 'controller', name: 'controller' } as const;
const agentOf = (name: string) => ({ kind: 'agent', name }) as const;

function began(name: string, problems: readonly NodeProblem[], cause: EventDraft['cause']): EventDraft[] {
  const [{ code, message }] = problems as [NodeProblem];
  if (TOLD_ELSEWHERE.has(code)) {
    return [];
  }
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const count = problems.length > 1 && { count: problems.length };
  return [{ kind: 'nodeProblemBegan', object: { kind: 'node', name }, code, message: message + more, cause, ...count }];
}

function ended(name: string, code: string): EventDraft {
  const message = `the problem ${code} has ended`;
  return { kind: 'nodeProblemEnded', object: { kind: 'node', name }, code, message, cause: agentOf(name) };
}

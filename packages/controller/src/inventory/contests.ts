/**
 * Describes contests, that is claims of a node to another node's interface: as problems of both
 * nodes, and as events.
 */
import type { Device, EventDraft, NodeProblem } from '@mirrorplane/contract';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { Contest } from './places.ts';

/** The most contests that are shown for one node. */
const MAX_SHOWN = 64;
/** The most events about contests of one node in one planning. The last of them counts the rest. */
const MAX_EVENTS = 8;

/**
 * Turns the current contests into problems of their nodes.
 * @returns events for new contests
 */
export function tellContests(contests: readonly Contest[], live: LiveNodes): EventDraft[] {
  const problems = new Map<string, NodeProblem[]>();
  const news = new Map<string, NodeProblem[]>();
  const add = (to: Map<string, NodeProblem[]>, node: string, problem: NodeProblem) =>
    to.set(node, [...(to.get(node) ?? []), problem]);
  const before = new Map<string, ReadonlySet<string>>();
  for (const [name, node] of live.all()) {
    if (node.contests.length > 0) {
      before.set(name, new Set(node.contests.map(keyOf)));
    }
  }
  for (const contest of contests) {
    const problem = problemOf(contest);
    if ((problems.get(contest.claimant)?.length ?? 0) >= MAX_SHOWN) {
      continue;
    }
    add(problems, contest.claimant, problem);
    // A claim from another communication domain does not affect the node that has the interface, or
    // its policies.
    if (!contest.domains && !contest.bound && (problems.get(contest.holder)?.length ?? 0) < MAX_SHOWN) {
      add(problems, contest.holder, problem);
    }
    if (!before.get(contest.claimant)?.has(keyOf(problem))) {
      add(news, contest.claimant, problem);
    }
  }
  for (const [name, { devices }] of live.all()) {
    for (const problem of edgeProblems(devices)) {
      add(problems, name, problem);
      if (!before.get(name)?.has(keyOf(problem))) {
        add(news, name, problem);
      }
    }
  }
  live.claims.contested(problems);
  return [...news].flatMap(([node, list]) => list.slice(0, MAX_EVENTS).map((problem) => eventOf(node, problem)));
}

function keyOf({ code, message }: NodeProblem): string {
  return `${code} ${message}`;
}

function problemOf(contest: Contest): NodeProblem {
  const { interface: id, claimant, claimantDevice, holder, holderDevice, domains, bound } = contest;
  if (bound) {
    const there = holderDevice === undefined ? ', which has no device for it' : `, which has it with ${holderDevice}`;
    const claims = `node "${claimant}" claims it with ${claimantDevice}, and the claim is refused`;
    const release = `if the guest is there now, run "mirrorplane interface bind ${id} --node ${claimant}" or "mirrorplane interface release ${id}"`;
    const message = `"${id}": it is bound to node "${holder}"${there}; ${claims}: ${release}`;
    return { code: 'INTERFACE_CONTESTED', message, interface: id };
  }
  const where = (domain: string | undefined) => (domain === undefined ? '' : ` in communication domain "${domain}"`);
  const other = `node "${claimant}"${where(domains?.claimant)} also claims it, with ${claimantDevice}, and the claim is refused`;
  const has = `node "${holder}"${where(domains?.holder)} has it with ${holderDevice}`;
  const remedy = 'give the second device an id of its own, or remove the first device if the guest has moved';
  const code = domains ? 'INTERFACE_CONTESTED' : 'INTERFACE_DUPLICATE';
  return { code, message: `"${id}": ${has}; ${other}: ${remedy}`, interface: id };
}

/** Problems for devices that an agent reports as edges. Only an operator can declare edges. */
/** A list of devices is not changed, so it is read once. */
const problemsOfDevices = new WeakMap<readonly Device[], readonly NodeProblem[]>();

function edgeProblems(devices: readonly Device[]): readonly NodeProblem[] {
  const known = problemsOfDevices.get(devices);
  if (known) {
    return known;
  }
  const problems = devices
    .flatMap(({ name, identity }): NodeProblem[] => {
      if (identity?.kind !== 'edge' || identity.provider === 'declared') {
        return [];
      }
      const message = `"${identity.id}": ${name} reports it as an edge, and the claim is refused: declare the edge with its node`;
      return [{ code: 'INTERFACE_KIND_REFUSED', message, interface: identity.id }];
    })
    .slice(0, MAX_SHOWN);
  problemsOfDevices.set(devices, problems);
  return problems;
}

function eventOf(node: string, { code, message, interface: id }: NodeProblem): EventDraft {
  const cause = { kind: 'controller', name: 'controller' } as const;
  return { kind: 'interfaceContested', object: { kind: 'interface', name: id! }, node, code, message, cause };
}

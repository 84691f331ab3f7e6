/** Faults that are planted, to see that the simulation finds them. */
import type { Patch } from './patch.ts';

export interface Mutation {
  name: string;
  /** What is wrong then. */
  about: string;
  patches: readonly Patch[];
  /** True: only schedules with several controllers can find it. */
  several?: boolean;
}

/** A mutation of one place. */
function mutation(name: string, about: string, file: string, find: string, put: string): Mutation {
  return { name, about, patches: [{ file, find, put }] };
}

/** What several controllers must not do. */
const OF_SEVERAL: readonly Mutation[] = [
  {
    name: 'stale-leader-writes',
    about: 'a controller writes without comparing that it still has the right to',
    patches: [
      {
        file: 'controller/src/store/etcd/hold.ts',
        find: 'return [this.held, { key: LEADER_KEY, notValue: value }];',
        put: 'return [{ key: LEADER_KEY, notValue: value }];',
      },
      {
        file: 'controller/src/store/etcd.ts',
        find: 'isOwn ? hold.conditions(value) : [hold.held]',
        put: 'isOwn ? hold.conditions(value) : []',
      },
    ],
  },
  mutation(
    'stale-leader-sends',
    'a controller sends programs without asking whether it still leads',
    'controller/src/sync/leading.ts',
    'return this.#leadership?.isSure ?? true;',
    'return true;',
  ),
  mutation(
    'stale-leader-answers',
    'a controller answers without asking whether it still leads',
    'controller/src/http/sure-answers.ts',
    'if (!OF_LEADER.test(url) || leadership.isSure || leadership.isAlone) {',
    "if (url !== '') {",
  ),
  {
    name: 'term-ignored',
    about: 'an agent neither says nor compares the term of the leader that it knows',
    patches: [
      {
        file: 'agent/src/controller-link/controllers.ts',
        find: 'return this.#kept.term;',
        put: 'return 0;',
      },
      {
        file: 'agent/src/controller-link/controllers.ts',
        find: 'if (term < this.#kept.term) {',
        put: 'if (term < 0) {',
      },
    ],
  },
  mutation(
    'former-not-awaited',
    'a new leader answers although the former one may be sure',
    'controller/src/store/etcd/hold.ts',
    'if (this.#formerHasLeft) {',
    'if (this.term > 0) {',
  ),
  mutation(
    'left-stays',
    'what a leader has said when it left is taken for the word of each later one',
    'controller/src/store/etcd/hold.ts',
    'this.#formerHasLeft = there !== undefined && (former === undefined || there.value.toString() === String(former));',
    'this.#formerHasLeft = revision > 0 && former !== undefined;',
  ),
  mutation(
    'sure-too-long',
    'a leader is sure for seconds after etcd has confirmed it last',
    'controller/src/store/etcd/hold.ts',
    'return !this.#isOver && this.unsureMs < SURE_MS;',
    'return !this.#isOver && this.unsureMs < 5000;',
  ),
  mutation(
    'starts-half-read',
    'a leader begins when it has read the first part of the store',
    'controller/src/store/etcd.ts',
    'if (!page.more) {',
    'if (entries.length > 0 || !page.more) {',
  ),
  mutation(
    'place-kept',
    'a leader whose start has failed keeps its place, and its lease alive',
    'controller/src/clustered.ts',
    'await hold.release();\n        failed(error);',
    "log.warn({ err: error }, 'the start has failed');",
  ),
];

export const MUTATIONS: readonly Mutation[] = [
  mutation(
    'number-freed-early',
    'the next policy gets the session number that was freed last',
    'planner/src/sessions.ts',
    'this.given = n + 1;',
    '',
  ),
  mutation(
    'generation-kept',
    'a session number that is used again has the generation that it had',
    'planner/src/sessions.ts',
    'Math.floor(n / MAX_SESSION) % (MAX_GENERATION + 1)',
    '0',
  ),
  mutation(
    'secret-kept',
    'secrets that a host knows stay when it is cut off',
    'planner/src/sessions.ts',
    'before < cutOffs || ',
    '',
  ),
  mutation(
    'receiver-ends-first',
    'a termination goes before its sender has confirmed that it sends no more',
    'planner/src/staging.ts',
    'inForce.get(end.node)?.connected === true && isUsed(end)',
    'inForce.get(end.node)?.connected === true && !isUsed(end)',
  ),
  mutation(
    'sender-begins-first',
    'a sender begins before its receiver has confirmed the termination',
    'planner/src/staging.ts',
    'return receiver?.confirmed !== undefined &&',
    'return receiver !== undefined ||',
  ),
  mutation(
    'old-acknowledgement',
    'an acknowledgement of an older revision counts for the newest',
    'controller/src/planning/in-force.ts',
    'const { connected = false, appliedRevision = -1 } = live.get(node) ?? {};',
    'const connected = live.get(node)?.connected ?? false; const appliedRevision = all.at(-1)?.revision ?? -1;',
  ),
  mutation(
    'confirmed-unsaved',
    'a program is in force before it is on the disk',
    'agent/src/current-program.ts',
    'this.#taking = this.#save(program).then(() => {',
    'void this.#save(program); this.#taking = Promise.resolve().then(() => {',
  ),
  mutation(
    'unsaved-untold',
    'an agent does not say that it could not store its program',
    'agent/src/agent.ts',
    '...reconciled.problems, ...this.#program.problems()]',
    '...reconciled.problems]',
  ),
  mutation(
    'saved-once',
    'an agent tries only once to store a program',
    'agent/src/current-program.ts',
    'this.#later(() => void this.#save(program));',
    '',
  ),
  mutation(
    'standby-stays',
    'a capture waits for its guest although the guest is there',
    'agent/src/reconcile/reconcile.ts',
    "if (guest !== 'absent' || reversed) {",
    'if (guest === undefined || reversed) {',
  ),
  mutation(
    'epoch-twice',
    'counts that a restarted controller has saved are added once more',
    'controller/src/reports/counter-totals.ts',
    'totals.#epoch = saved.epoch;',
    "totals.#epoch = '';",
  ),
  mutation(
    'old-connection-ends-new',
    'the end of an old connection counts for the one that has replaced it',
    'controller/src/sync/agent-sessions.ts',
    'if (this.#sessions.get(node) === session) {',
    'if (this.#sessions.has(node)) {',
  ),
  mutation(
    'disabled-unconfirmed',
    'a policy is said to be disabled before all nodes have confirmed it',
    'planner/src/status.ts',
    '    : endingReasons(policy, observation);',
    '    : [];',
  ),
  mutation(
    'told-unnoted',
    'a policy is said to be disabled although a node was told to copy for it, and was not heard since',
    'controller/src/planning/planning.ts',
    'this.#noteCopying(told, policies);',
    '',
  ),
  mutation(
    'base-believed',
    'an agent that comes back with any program is taken to have the newest one',
    'controller/src/sync/program-sender.ts',
    'if (isSameProgram(held, heldProgram(program))) {',
    'if (held.digest !== undefined) {',
  ),
  {
    name: 'difference-to-another-base',
    about: 'a difference is made of another program than the agent has, and put into that',
    patches: [
      {
        file: 'controller/src/sync/program-sender.ts',
        find: 'if (isSameProgram(held, heldProgram(program))) {',
        put: 'if (held.digest !== undefined) {',
      },
      {
        file: 'contract/src/program-difference.ts',
        find: 'if (!isSameProgram(heldProgram(before), base)) {',
        put: 'if (before.node === undefined) {',
      },
      {
        file: 'contract/src/program-difference.ts',
        find: 'return isSameProgram(heldProgram(after), result) ? after : undefined;',
        put: 'return after;',
      },
    ],
  },
  mutation(
    'counters-before-devices',
    'an agent tells counts of a device before it tells the device',
    'agent/src/reporter.ts',
    'this.sendInventory();\n      const report',
    'const report',
  ),
  mutation(
    'brought-accused',
    'a node that was registered again is accused of what it has counted before',
    'controller/src/reports/totals.ts',
    'const isFault = owns === false && !isBrought;',
    'const isFault = owns === false || isBrought;',
  ),
  mutation(
    'contest-accused',
    'a node is accused of counts of a guest that another node still seems to have',
    'controller/src/sync/agent-sessions.ts',
    'hasClaimed: (id) => live.claims.hasClaimed(name, id),',
    'hasClaimed: () => false,',
  ),
  mutation(
    'dismissal-in-plan',
    'the empty program of a node that was cut off has a number that a plan may have',
    'agent/src/current-program.ts',
    'emptyProgram(node, UNPLANNED_REVISION)',
    'emptyProgram(node, current.revision + 1)',
  ),
  mutation(
    'relay-taken-for-ready',
    'a way that a node only relays by counts as ready for its own copies',
    'planner/src/staging.ts',
    '!relays.has(id) || part',
    'id !== undefined || part',
  ),
  mutation(
    'earlier-destination-ends',
    'a node that was the destination ends at once if the new destination migrates',
    'planner/src/staging.ts',
    'return isOver && inForce',
    'return isOver && !staging.migrating.has(end.policy) && inForce',
  ),
  mutation(
    'count-back',
    'an event has a count that has gone back, which no controller takes',
    'agent/src/migration/handover-counter.ts',
    'Math.max(0, this.#inbound(item) - base)',
    'this.#inbound(item) - base',
  ),
  ...OF_SEVERAL.map((one) => ({ ...one, several: true })),
];

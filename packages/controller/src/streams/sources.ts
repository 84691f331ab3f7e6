/** The topics that there are, and what each is made of. */
import type { PolicyPath } from '@mirrorplane/contract';
import type { Board } from '../summaries/board.ts';
import type { DestinationEntry } from '../summaries/destinations.ts';
import type { InterfaceSummaries } from '../summaries/interfaces.ts';
import type { NodeEntry } from '../summaries/nodes.ts';
import type { PolicyEntry } from '../summaries/policies.ts';
import { EntryItems, type TopicItems } from './items.ts';

/** Gives all items of a topic. */
export type TopicSources = (topic: string) => () => TopicItems;

interface Parts {
  policies: Board<PolicyEntry>;
  interfaces: InterfaceSummaries;
  nodes: Board<NodeEntry>;
  destinations: Board<DestinationEntry>;
  /** One policy, as it is now. */
  policyOf: (policy: string) => PolicyEntry | undefined;
  /** The way of the copies of a policy. */
  pathOf: (policy: string) => PolicyPath | undefined;
}

/** Topics without a name behind them. */
const TOPICS = ['policies', 'nodes', 'destinations', 'interfaces', 'events'] as const;
/** Topics of one thing, with what stands behind the colon. */
const NAMED_TOPICS: Readonly<Record<string, string>> = {
  policy: 'NAME',
  interface: 'ID',
  node: 'NAME',
  destination: 'ID',
};
/** How each topic is written, for readers. */
export const TOPIC_FORMS: readonly string[] = [
  ...TOPICS,
  ...Object.entries(NAMED_TOPICS).map(([kind, key]) => `${kind}:${key}`),
];

/** Whether there is such a topic. */
export function isTopic(text: string): boolean {
  const [kind, ...name] = text.split(':');
  const isNamed = Object.hasOwn(NAMED_TOPICS, kind!) && name.join(':') !== '';
  return (TOPICS as readonly string[]).includes(text) || isNamed;
}

export function topicSources({ policies, interfaces, nodes, destinations, policyOf, pathOf }: Parts): TopicSources {
  const all: Record<string, () => TopicItems> = {
    policies: entries(policies, ({ state, revision, reasonCount }) => `${state} ${revision} ${reasonCount}`),
    interfaces: () => interfaces.summaries(),
    nodes: entries(nodes, ({ state, pool }) => `${state} ${pool}`),
    destinations: entries(destinations, ({ policyCount }) => policyCount),
  };
  const one: Record<string, (name: string) => () => TopicItems> = {
    policy: (name) =>
      single(
        name,
        () => policyOf(name),
        ({ summary, detail }) => ({ ...summary, ...detail, path: pathOf(name) }),
      ),
    interface: (id) =>
      single(
        id,
        () => interfaces.one(id),
        (summary) => summary,
      ),
    node: (name) =>
      single(
        name,
        () => nodes.items().get(name),
        ({ summary }) => summary,
      ),
    destination: (id) =>
      single(
        id,
        () => destinations.items().get(id),
        ({ summary }) => summary,
      ),
  };
  return (topic) => {
    const at = topic.indexOf(':');
    return at < 0 ? all[topic]! : one[topic.slice(0, at)]!(topic.slice(at + 1));
  };
}

/** All of a board, as long as they are the same. @param sign what of an entry is more than numbers */
function entries<E extends { summary: object }>(board: Board<E>, sign: (entry: E) => unknown): () => TopicItems {
  return mapped(
    () => board.items(),
    (items) => new EntryItems(items, ({ summary }) => summary, sign),
  );
}

/** One item, as long as that is the same. */
function single<E>(key: string, entry: () => E | undefined, make: (entry: E) => object): () => TopicItems {
  return mapped(entry, (found) => new Map(found === undefined ? [] : [[key, make(found)]]));
}

/** Makes something of what `from` gives, and gives the same again as long as that is the same. */
function mapped<F, T>(from: () => F, make: (from: F) => T): () => T {
  let made: { from: F; result: T } | undefined;
  return () => {
    const now = from();
    if (made === undefined || made.from !== now) {
      made = { from: now, result: make(now) };
    }
    return made.result;
  };
}

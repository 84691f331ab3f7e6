/** The topics that there are, and what each is made of. */
import type { DestinationSummary, NodeSummary, PolicyPath } from '@mirrorplane/contract';
import type { Board } from '../summaries/board.ts';
import type { InterfaceSummaries } from '../summaries/interfaces.ts';
import type { PolicyEntry } from '../summaries/policies.ts';

/** Gives all items of a topic by their keys. */
export type TopicSources = (topic: string) => () => ReadonlyMap<string, object>;

interface Parts {
  policies: Board<PolicyEntry>;
  interfaces: InterfaceSummaries;
  nodes: Board<NodeSummary>;
  destinations: Board<DestinationSummary>;
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

export function topicSources({ policies, interfaces, nodes, destinations, pathOf }: Parts): TopicSources {
  const all: Record<string, () => ReadonlyMap<string, object>> = {
    policies: mapped(
      () => policies.items(),
      (items) => [...items].map(([name, { summary }]) => [name, summary]),
    ),
    interfaces: () => interfaces.summaries(),
    nodes: () => nodes.items(),
    destinations: () => destinations.items(),
  };
  const one: Record<string, (name: string) => () => ReadonlyMap<string, object>> = {
    policy: (name) =>
      mapped(
        () => policies.items().get(name),
        (entry) => (entry ? [[name, { ...entry.summary, ...entry.detail, path: pathOf(name) }]] : []),
      ),
    interface: (id) => single(id, () => interfaces.one(id)),
    node: (name) => single(name, () => nodes.items().get(name)),
    destination: (id) => single(id, () => destinations.items().get(id)),
  };
  return (topic) => {
    const at = topic.indexOf(':');
    return at < 0 ? all[topic]! : one[topic.slice(0, at)]!(topic.slice(at + 1));
  };
}

/** Makes a map of what `from` gives, and gives the same map again as long as that is the same. */
function mapped<F>(from: () => F, items: (from: F) => [string, object][]): () => ReadonlyMap<string, object> {
  let made: { from: F; map: ReadonlyMap<string, object> } | undefined;
  return () => {
    const now = from();
    if (made === undefined || made.from !== now) {
      made = { from: now, map: new Map(items(now)) };
    }
    return made.map;
  };
}

function single(key: string, item: () => object | undefined): () => ReadonlyMap<string, object> {
  return mapped(item, (found) => (found ? [[key, found]] : []));
}

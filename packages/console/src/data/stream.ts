/**
 * The one stream of this tab: what changes at the controller, for whatever pages are looking at.
 */
import { useEffect, useSyncExternalStore } from 'react';
import { serverNow, setServerTime } from './clock.ts';
import { reloadOnce } from './reload.ts';

/**
 * `live`: what is shown is what is. `stale`: it is from `since`. `paused`: the tab is hidden,
 * nothing is asked for.
 */
export interface StreamState {
  phase: 'connecting' | 'live' | 'stale' | 'paused';
  /** When it was live last, by the controller's clock. */
  since?: number;
  version?: string;
}

/** What a topic says: everything first, then what has changed. */
export interface Delta<T = unknown> {
  /** True for the first message of a topic: what is not in it is not there. */
  snapshot?: boolean;
  upserts: T[];
  removed: string[];
}

type Listener = (topic: string, delta: Delta) => void;

/** Milliseconds until a hidden tab gives its connection back. */
const HIDDEN_MS = 30_000;
/**
 * Milliseconds without a word, the heartbeat of 15 s included, after which a connection is taken
 * for dead.
 */
const SILENT_MS = 40_000;
/**
 * Milliseconds before each try in turn to connect again. The first ones are short: a controller that
 * follows keeps the request until another one leads.
 */
const RETRY_MS = [200, 500, 1000, 2000, 5000, 10_000];
/**
 * Milliseconds between two questions where there is no stream: something on the way may hold it
 * back.
 */
const ASK_MS = 3000;

let state: StreamState = { phase: 'connecting' };
const watchers = new Set<() => void>();
const listeners = new Set<Listener>();
/** How many parts of the page want a topic. */
const wanted = new Map<string, number>();
let source: EventSource | undefined;
let opened = '';
let failures = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let silence: ReturnType<typeof setTimeout> | undefined;
let hidden: ReturnType<typeof setTimeout> | undefined;

function become(next: StreamState): void {
  state = next;
  for (const watcher of watchers) {
    watcher();
  }
}

/** True once a stream has said something: then one that breaks off is opened again. */
let isStreamed = false;
const askers = new Set<() => void>();

const topicsNow = () => [...wanted.keys()].sort().join(',');

/** Asks in place of a stream: whether the controller answers, and by that all that is shown. */
async function ask(): Promise<void> {
  try {
    const response = await fetch('/api/v1/session', { signal: AbortSignal.timeout(SILENT_MS) });
    if (!response.ok) {
      throw new Error(`${response.status}`);
    }
    const at = response.headers.get('date');
    if (at !== null) {
      setServerTime(new Date(at).toISOString());
    }
    become({ ...state, phase: 'live' });
    for (const asker of askers) {
      asker();
    }
  } catch {
    becomeStale();
  }
  if (source === undefined && opened !== '' && state.phase !== 'paused') {
    timer = setTimeout(ask, ASK_MS);
  }
}

function becomeStale(): void {
  const since = state.phase === 'live' ? serverNow() : state.since;
  become({ ...state, phase: 'stale', ...(since !== undefined && { since }) });
}

function lost(): void {
  close();
  if (!isStreamed) {
    void ask();
    return;
  }
  becomeStale();
  timer = setTimeout(open, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
  failures += 1;
}

function heard(): void {
  clearTimeout(silence);
  silence = setTimeout(lost, SILENT_MS);
}

function hello(data: string): void {
  const { version, serverTime } = JSON.parse(data) as { version: string; serverTime: string };
  setServerTime(serverTime);
  failures = 0;
  isStreamed = true;
  if (state.version !== undefined && state.version !== version) {
    reloadOnce(version);
  }
  become({ phase: 'live', version });
}

/** Opens the stream for what is wanted now. */
function open(): void {
  close();
  opened = topicsNow();
  if (opened === '') {
    return;
  }
  const next = new EventSource(`/api/v1/stream?topics=${encodeURIComponent(opened)}`);
  source = next;
  heard();
  next.addEventListener('hello', (event) => {
    heard();
    hello(event.data);
  });
  next.addEventListener('heartbeat', (event) => {
    heard();
    setServerTime((JSON.parse(event.data) as { serverTime: string }).serverTime);
  });
  // A browser repeats on its own only what broke off, and not what was refused: so we do, with a
  // growing pause.
  next.onerror = lost;
  for (const topic of opened.split(',')) {
    next.addEventListener(topic, (event) => {
      heard();
      const delta = { upserts: [], removed: [], ...(JSON.parse(event.data) as Partial<Delta>) };
      for (const listener of listeners) {
        listener(topic, delta);
      }
    });
  }
}

function close(): void {
  clearTimeout(timer);
  clearTimeout(silence);
  source?.close();
  source = undefined;
}

/** Opens again where other topics are wanted than before; once for all that a page wants. */
let asked = false;
function reconsider(): void {
  if (asked) {
    return;
  }
  asked = true;
  queueMicrotask(() => {
    asked = false;
    if (topicsNow() !== opened && state.phase !== 'paused') {
      open();
    }
  });
}

function onVisibility(): void {
  clearTimeout(hidden);
  if (document.hidden) {
    hidden = setTimeout(() => {
      close();
      become({ ...state, phase: 'paused', since: serverNow() });
    }, HIDDEN_MS);
  } else if (state.phase === 'paused') {
    become({ ...state, phase: 'connecting' });
    open();
  }
}

/** Begins to look at whether the tab is seen. Returns what ends the stream. */
export function startStream(): () => void {
  document.addEventListener('visibilitychange', onVisibility);
  return () => {
    document.removeEventListener('visibilitychange', onVisibility);
    clearTimeout(hidden);
    close();
    opened = '';
    failures = 0;
    become({ phase: 'connecting' });
  };
}

/** Has `listener` told of every change. Returns what ends that. */
export function onDelta(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Has `asker` called where there is no stream, each time that everything is to be read again. */
export function onAsk(asker: () => void): () => void {
  askers.add(asker);
  return () => askers.delete(asker);
}

/** Wants a topic as long as the component is there. */
export function useTopic(topic: string | undefined): void {
  useEffect(() => {
    if (topic === undefined) {
      return;
    }
    wanted.set(topic, (wanted.get(topic) ?? 0) + 1);
    reconsider();
    return () => {
      const left = wanted.get(topic)! - 1;
      if (left === 0) {
        wanted.delete(topic);
      } else {
        wanted.set(topic, left);
      }
      reconsider();
    };
  }, [topic]);
}

/** The state of the stream, for the sign in the header. */
export function useStreamState(): StreamState {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => state,
  );
}

/** Time by the clock of the controller: the one that events and certificates are dated by. */
import { useSyncExternalStore } from 'react';

let ahead = 0;

/** Takes the controller's time. What the network took is not known, and left out. */
export function setServerTime(iso: string): void {
  const at = Date.parse(iso);
  if (Number.isFinite(at)) {
    ahead = at - Date.now();
  }
}

/** Milliseconds since 1970 by the controller's clock. */
export const serverNow = (): number => Date.now() + ahead;

const listeners = new Set<() => void>();
let ticks = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    ticks += 1;
    for (const each of listeners) {
      each();
    }
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The controller's time, for a component that shows it: drawn again each second. */
export function useNow(): number {
  useSyncExternalStore(subscribe, () => ticks);
  return serverNow();
}

/** A tab that has outlived an upgrade of the controller loads itself again, once. */
import { text } from '../text/index.ts';

const KEY = 'mirrorplane.reloaded';

/** For what this tab has loaded itself again so far. */
function reasons(): string[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as string[];
  } catch {
    return [];
  }
}

/**
 * Loads the page again, unless it already was for this reason: what does not help once helps never,
 * and a page that reloads without end cannot be used at all.
 * @param why the version, or the part that could not be loaded
 * @returns whether it does
 */
export function reloadOnce(why: string): boolean {
  const before = reasons();
  if (before.includes(why)) {
    return false;
  }
  sessionStorage.setItem(KEY, JSON.stringify([...before, why]));
  location.reload();
  return true;
}

/**
 * Reloads where a part of the console is gone from the controller, because a newer build has other
 * parts. Where that has not helped, the page says what is missing.
 */
export function reloadOnMissingParts(): void {
  addEventListener('vite:preloadError', (event) => {
    const { payload } = event;
    if (reloadOnce(payload.message)) {
      event.preventDefault();
    } else {
      // The router would load the page again for what a browser says of a missing part.
      payload.message = text.problems.missing;
    }
  });
}

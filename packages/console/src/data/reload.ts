/** A tab that has outlived an upgrade of the controller loads itself again, once. */

const KEY = 'mirrorplane.reloaded';

/**
 * Loads the page again, unless it already was for this reason: what does not help once helps never,
 * and a page that reloads without end cannot be used at all.
 * @param why the version, or the part that could not be loaded
 */
export function reloadOnce(why: string): void {
  if (sessionStorage.getItem(KEY) !== why) {
    sessionStorage.setItem(KEY, why);
    location.reload();
  }
}

/**
 * Reloads where a part of the console is gone from the controller, because a newer build has other
 * parts.
 */
export function reloadOnMissingParts(): void {
  addEventListener('vite:preloadError', (event) => {
    event.preventDefault();
    reloadOnce(event.payload.message);
  });
}

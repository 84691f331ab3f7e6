/**
 * What can be reached with the keyboard alone, and words that are not from the catalogue of texts.
 */
import type { Page } from 'playwright-core';

/** Controls that a person without a mouse has to reach. */
const CONTROLS =
  'a[href], button:not([disabled]), input:not([disabled]), textarea, [role=grid], [role=tab][aria-selected=true]';

/**
 * Presses Tab until the focus comes round, and returns the visible controls that never had it.
 * Those within a grid are reached by its own keys.
 */
export async function unreachable(page: Page): Promise<string[]> {
  const count = await page.evaluate((controls) => {
    const all = [...document.querySelectorAll<HTMLElement>(controls)].filter(
      (element) => element.tabIndex >= 0 && element.checkVisibility({ visibilityProperty: true }),
    );
    for (const [at, element] of all.entries()) {
      element.dataset.walk = String(at);
    }
    (document.activeElement as HTMLElement | null)?.blur();
    return all.length;
  }, CONTROLS);
  const seen = new Set<string>();
  for (let step = 0; step < count + 20; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset.walk);
    if (at !== undefined) {
      seen.add(at);
    }
  }
  return page.evaluate(
    (reached) =>
      [...document.querySelectorAll<HTMLElement>('[data-walk]')]
        .filter(({ dataset }) => !reached.includes(dataset.walk!))
        // The one of a group that is chosen has the focus for all: radio buttons.
        .filter((element) => !(element instanceof HTMLInputElement && element.type === 'radio' && !element.checked))
        .map((element) => element.outerHTML.slice(0, 120)),
    [...seen],
  );
}

/** In the pseudo-locale: visible words that are neither of the catalogue nor data. */
export async function foreignWords(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found: string[] = [];
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const rest = node.textContent!.replaceAll(/⟦[^⟧]*⟧/g, '');
      const parent = node.parentElement!;
      if (/\p{L}{2,}/u.test(rest) && parent.closest('[translate=no], script, style') === null) {
        found.push(`${parent.tagName}: ${rest.trim().slice(0, 80)}`);
      }
    }
    for (const attribute of ['aria-label', 'placeholder', 'title']) {
      for (const element of document.querySelectorAll(`#root [${attribute}]`)) {
        const text = element.getAttribute(attribute)!;
        if (text !== '' && !text.includes('⟦') && element.closest('[translate=no]') === null) {
          found.push(`${element.tagName} ${attribute}: ${text.slice(0, 80)}`);
        }
      }
    }
    return [...new Set(found)];
  });
}

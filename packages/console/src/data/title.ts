/** The name of the page in the tab of the browser. */
import { useEffect } from 'react';

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} – Mirrorplane`;
  }, [title]);
}

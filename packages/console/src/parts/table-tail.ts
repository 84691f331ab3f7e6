/** Keeps the end of a list in view that grows there, until its reader goes elsewhere. */
import { type RefObject, useCallback, useLayoutEffect, useRef } from 'react';

export interface Tail {
  /** True: the last row stays in view. */
  isOn: boolean;
  /** The reader has gone to another row. */
  onLeave(): void;
}

/** Returns what has to be told of each scroll of the box. */
export function useTail(
  box: RefObject<HTMLElement | null>,
  rows: readonly unknown[],
  tail: Tail | undefined,
): (() => void) | undefined {
  const last = useRef({ top: 0, height: 0 });
  const isOn = tail?.isOn ?? false;
  // biome-ignore lint/correctness/useExhaustiveDependencies: new rows are what moves the end
  useLayoutEffect(() => {
    if (isOn && box.current) {
      box.current.scrollTop = box.current.scrollHeight;
      last.current = { top: box.current.scrollTop, height: box.current.scrollHeight };
    }
  }, [box, rows, isOn]);
  const onLeave = tail?.onLeave;
  const onScroll = useCallback(() => {
    const { scrollTop: top = 0, scrollHeight: height = 0 } = box.current ?? {};
    // Where a filter has made the list shorter, the browser has scrolled, and not its reader.
    if (top < last.current.top - 1 && height >= last.current.height) {
      onLeave?.();
    }
    last.current = { top, height };
  }, [box, onLeave]);
  return tail && onScroll;
}

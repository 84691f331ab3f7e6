/** Reads the rows of a look, and goes on where it was when the connection breaks off. */
import type { PacketRows } from '../api/types.ts';

/**
 * `reading`: rows come. `waiting`: the connection is lost, and is tried again. `ended`: all was read.
 */
export type ReaderPhase = 'reading' | 'waiting' | 'ended';

export interface RowReaderOptions {
  look: string;
  /** A display filter that was checked. */
  display: string;
  onRows(rows: PacketRows): void;
  onPhase(phase: ReaderPhase): void;
}

/** Milliseconds until a lost connection is tried again. */
const RETRY_MS = [500, 1000, 2000, 5000];
/** Milliseconds without a word, the heartbeat of 15 s included, until it counts as lost. */
const SILENT_MS = 40_000;

/** Begins to read. Returns what ends it. */
export function readRows({ look, display, onRows, onPhase }: RowReaderOptions): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = 0;
  let failures = 0;
  const stop = () => {
    clearTimeout(timer);
    source?.close();
  };
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(lost, SILENT_MS);
  };
  const lost = () => {
    stop();
    onPhase('waiting');
    timer = setTimeout(open, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
    failures += 1;
  };
  const open = () => {
    const query = new URLSearchParams({ after: String(last), ...(display && { display }) });
    source = new EventSource(`/api/v1/looks/${encodeURIComponent(look)}/rows?${query}`);
    heard();
    source.addEventListener('rows', ({ data }) => {
      heard();
      failures = 0;
      const rows = JSON.parse(data) as PacketRows;
      last = rows.last;
      onPhase('reading');
      onRows(rows);
    });
    source.addEventListener('heartbeat', heard);
    source.addEventListener('end', () => {
      stop();
      onPhase('ended');
    });
    source.onerror = lost;
  };
  open();
  return stop;
}

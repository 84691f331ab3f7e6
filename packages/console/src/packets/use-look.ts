/** A look with its packets, as long as a page shows it. */
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { answer, api } from '../api/client.ts';
import type { DecoderState, Look } from '../api/types.ts';
import { serverNow } from '../data/clock.ts';
import { queryClient } from '../data/query-client.ts';
import { PacketStore, type PacketsShown } from './packet-store.ts';
import { type ReaderPhase, readRows } from './row-reader.ts';

export interface LookShown {
  look: Look | undefined;
  /** The look is not there, or not any more; or it cannot be read. */
  error: Error | null;
  phase: ReaderPhase;
  decoder: DecoderState | undefined;
  packets: PacketsShown;
  store: PacketStore;
}

/** @param display a display filter that was checked */
export function useLook(id: string, display: string): LookShown {
  const [store] = useState(() => new PacketStore());
  const [phase, setPhase] = useState<ReaderPhase>('reading');
  const [decoder, setDecoder] = useState<DecoderState>();
  const queryKey = ['look', id];
  const { data: look, error } = useQuery({
    queryKey,
    queryFn: ({ signal }) => answer(api.GET('/api/v1/looks/{id}', { params: { path: { id } }, signal })),
    // While rows cannot be read, this says whether the look is there.
    refetchInterval: phase === 'waiting' ? 2000 : false,
    retry: false,
  });
  const isThere = look !== undefined;
  useEffect(() => {
    if (!isThere) {
      return;
    }
    store.clear();
    return readRows({
      look: id,
      display,
      onPhase: setPhase,
      onRows: (rows) => {
        store.take(rows);
        setDecoder(rows.decoder);
        if (rows.look !== undefined) {
          queryClient.setQueryData(['look', id], rows.look);
        }
      },
    });
  }, [id, display, isThere, store]);
  const packets = useSyncExternalStore(store.subscribe, store.shown);
  return { look, error, phase, decoder, packets, store };
}

/** Ends a look that has lasted so many seconds. Whoever has its address open does so. */
export function useEndAfter(look: Look | undefined, seconds: number | undefined): void {
  const isRunning = look?.state === 'running' && seconds !== undefined;
  const dueAt = isRunning ? Date.parse(look.beganAt) + seconds * 1000 : undefined;
  const id = look?.id;
  useEffect(() => {
    if (dueAt === undefined || id === undefined) {
      return;
    }
    const timer = setTimeout(() => void endLook(id), Math.max(0, dueAt - serverNow()));
    return () => clearTimeout(timer);
  }, [id, dueAt]);
}

/** Ends a look. */
export async function endLook(id: string): Promise<void> {
  const ended = await answer(api.DELETE('/api/v1/looks/{id}', { params: { path: { id } } }));
  queryClient.setQueryData(['look', id], ended);
}

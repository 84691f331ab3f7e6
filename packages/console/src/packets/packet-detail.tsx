/** One packet: where it was seen, what became of it, its fields, and its bytes. */
import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { LookedPacket, PacketDetail, PacketTreeNode } from '../api/types.ts';
import { Facts } from '../parts/facts.tsx';
import { Data } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { microTime, number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { CopyMark, OriginalMark, Place } from './fate-marks.tsx';
import { FieldTree } from './field-tree.tsx';
import { hexLines, type Piece } from './hex.ts';
import { DecoderNote } from './look-bar.tsx';
import classes from './packets.module.css';

const t = text.packets;

export interface PacketPanelProps {
  look: string;
  number: number;
  onFilter(display: string): void;
  onClose(): void;
}

export function PacketPanel({ look, number: packet, onFilter, onClose }: PacketPanelProps): ReactNode {
  const { data, error } = useQuery({
    queryKey: ['look', look, 'packet', packet],
    queryFn: ({ signal }) => {
      const path = { id: look, number: packet };
      const call = api.GET('/api/v1/looks/{id}/packets/{number}', { params: { path }, signal });
      return answer(call) as Promise<PacketDetail>;
    },
    placeholderData: (before) => before,
    retry: false,
  });
  return (
    <section className="panel" aria-labelledby="packet">
      <div className="bar">
        <h2 id="packet">{t.detail(number(packet))}</h2>
        <Button variant="default" onClick={onClose}>
          {t.close}
        </Button>
      </div>
      <ProblemAlert error={error} />
      {data && <Detail key={data.packet.number} detail={data} onFilter={onFilter} />}
    </section>
  );
}

function Detail({ detail, onFilter }: { detail: PacketDetail } & Pick<PacketPanelProps, 'onFilter'>): ReactNode {
  const { packet, bytes, tree, decoder } = detail;
  const [field, setField] = useState<PacketTreeNode>();
  return (
    <div className={classes.detail}>
      <div>
        <PacketFacts packet={packet} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long tree is scrolled by the keys */}
      <section aria-label={t.fields} tabIndex={0}>
        <DecoderNote decoder={decoder} />
        {tree && <FieldTree tree={tree} chosen={field} onChoose={setField} />}
        {field?.filter !== undefined && (
          <div className="bar">
            <code translate="no">{field.filter}</code>
            <Button size="compact-xs" variant="default" onClick={() => onFilter(field.filter!)}>
              {t.useFilter}
            </Button>
          </div>
        )}
      </section>
      <section aria-label={t.bytes}>
        <span className="quiet">{t.cut(number(packet.captured), number(packet.length))}</span>
        <Hex bytes={bytes} range={field?.bytes} />
      </section>
    </div>
  );
}

function PacketFacts({ packet }: { packet: LookedPacket }): ReactNode {
  const { at, place, node, device, vlan, packets, gsoSize, lostBefore, copy, original } = packet;
  const { drop } = original;
  return (
    <Facts
      facts={[
        [t.time, <Data key="v">{microTime(at)}</Data>],
        [t.place, <Place key="v" place={place} node={node} />],
        [t.interface, <Data key="v">{packet.interfaceName || packet.interface}</Data>],
        [t.device, <Data key="v">{device}</Data>],
        [t.vlan, vlan !== undefined && <Data>{vlan}</Data>],
        [t.superPacket, gsoSize > 0 && t.segments(number(packets), number(gsoSize))],
        [t.packetId, packet.packet !== undefined && <Data>{packet.packet}</Data>],
        [t.lostBefore, lostBefore > 0 && <Data>{number(lostBefore)}</Data>],
        [t.copy, <CopyMark key="v" copy={copy} />],
        [t.original, <OriginalMark key="v" original={original} />],
        [t.droppedAt, drop && t.droppedBy(drop.node, drop.device)],
        [t.kernelReason, drop && <Data>{drop.reason}</Data>],
        [t.kernelFunction, drop && <Data>{drop.function}</Data>],
        ['', drop?.cause === 'rule' && t.wanted],
      ]}
    />
  );
}

function Hex({ bytes, range }: { bytes: string; range: readonly [number, number] | undefined }): ReactNode {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: long lines are scrolled by the keys
    <pre className={classes.hex} tabIndex={0} translate="no">
      {hexLines(bytes, range).map(({ offset, hex, characters }) => (
        <div key={offset}>
          {offset}
          {'  '}
          <Pieces pieces={hex} width={48} /> <Pieces pieces={characters} width={0} />
        </div>
      ))}
    </pre>
  );
}

function Pieces({ pieces, width }: { pieces: readonly Piece[]; width: number }): ReactNode {
  const length = pieces.reduce((sum, piece) => sum + piece.text.length, 0);
  let at = 0;
  return (
    <>
      {pieces.map(({ text: words, isMarked }) => {
        at += words.length;
        return isMarked ? <mark key={at}>{words}</mark> : <span key={at}>{words}</span>;
      })}
      {' '.repeat(Math.max(0, width - length))}
    </>
  );
}

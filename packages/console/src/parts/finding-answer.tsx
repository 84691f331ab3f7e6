/** The answer of a finding: its sentence, large, and what shows it. */
import { Alert } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Finding, FindingAnswer, FindingConversation, FindingPacket } from '../api/types.ts';
import { clockTime, number } from '../text/format.ts';
import { text } from '../text/index.ts';
import { Data, Mark, Said } from './marks.tsx';
import { RowTable } from './row-table.tsx';

const t = text.findings;
type WayName = FindingPacket['way'];

export function FindingAnswerView({ finding }: { finding: Finding }): ReactNode {
  const { answer } = finding;
  if (answer === undefined) {
    return null;
  }
  return (
    <>
      <Sentence answer={answer} />
      {answer.conversations.length > 0 && <Conversations answer={answer} />}
      {answer.drops.length > 0 && <Drops finding={finding} answer={answer} />}
      {answer.packets.length > 0 && <Packets answer={answer} look={finding.look} />}
    </>
  );
}

function Sentence({ answer: { cause, message, remedy } }: { answer: FindingAnswer }): ReactNode {
  const color = cause === 'nothingLost' ? 'green' : cause === 'undetermined' ? 'yellow' : 'red';
  return (
    <Alert color={color} role="status" data-cause={cause}>
      <p className="sentence">
        <Said>{message}</Said>
      </p>
      {remedy !== undefined && cause !== 'nothingLost' && (
        <p>
          {t.remedy}: <Said>{remedy}</Said>
        </p>
      )}
    </Alert>
  );
}

/** A table with a scroll bar of its own, reached by the keys. */
function Evidence({
  id,
  title,
  how,
  heads,
  children,
}: {
  id: string;
  title: string;
  how?: string;
  heads: readonly string[];
  children: ReactNode;
}): ReactNode {
  return (
    <section className="panel" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {how !== undefined && <p className="quiet">{how}</p>}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: wide tables are scrolled by the keys */}
      <div className="scrolled" tabIndex={0}>
        <RowTable heads={heads}>{children}</RowTable>
      </div>
    </section>
  );
}

const COUNTS = [
  'sent',
  'arrived',
  'delivered',
  'lostBefore',
  'lostBehind',
  'lostAtDevice',
  'retransmissions',
  'resets',
  'foreignResets',
  'zeroWindows',
] as const;
const FAULTS: ReadonlySet<string> = new Set(['lostBefore', 'lostBehind', 'lostAtDevice', 'foreignResets']);

function Conversations({ answer: { conversations, conversationCount } }: { answer: FindingAnswer }): ReactNode {
  const heads = [t.protocol, `${t.source} → ${t.target}`, ...COUNTS.map((name) => t[name]), t.connections, t.handshake];
  const more = conversationCount - conversations.length;
  return (
    <>
      <Evidence id="conversations" title={t.conversations} how={t.conversationsHow} heads={heads}>
        {conversations.flatMap((one) =>
          (['there', 'back'] as const).map((way) => <WayRow key={`${endsOf(one)} ${way}`} one={one} way={way} />),
        )}
      </Evidence>
      {more > 0 && <p className="quiet">{t.more(more)}</p>}
    </>
  );
}

function WayRow({ one, way }: { one: FindingConversation; way: WayName }): ReactNode {
  const { protocol, from, to, attempts, handshakeUs } = one;
  const [source, target] = way === 'there' ? [from, to] : [to, from];
  const hasAttempts = way === 'there' && attempts.all > 0;
  return (
    <tr>
      <td translate="no">{protocol}</td>
      <td translate="no">
        {endText(source)} → {endText(target)}
      </td>
      {COUNTS.map((name) => (
        <td key={name} className="number" translate="no">
          {FAULTS.has(name) && one[way][name] > 0 ? (
            <Mark tone="bad" sign="▼">
              <Data>{number(one[way][name])}</Data>
            </Mark>
          ) : (
            number(one[way][name])
          )}
        </td>
      ))}
      <td>{hasAttempts && t.connectionCounts(attempts.accepted, attempts.refused, attempts.all)}</td>
      <td className="number" translate="no">
        {way === 'there' && handshakeUs !== undefined && `${(handshakeUs / 1000).toFixed(2)} ms`}
      </td>
    </tr>
  );
}

function Drops({ finding: { from, to }, answer: { drops } }: { finding: Finding; answer: FindingAnswer }): ReactNode {
  const heads = [t.dropped, t.way, t.node, t.device, t.cause, t.reason, t.since];
  return (
    <Evidence id="drops" title={t.drops} heads={heads}>
      {drops.map(({ way, packets, first }) => (
        <tr key={`${way} ${first.node} ${first.device} ${first.reason} ${first.function}`} translate="no">
          <td className="number">{number(packets)}</td>
          <td>{way === 'there' ? to : from}</td>
          <td>{first.node}</td>
          <td>{first.device}</td>
          <td>{first.cause}</td>
          <td>{[first.reason, first.function].filter((part) => part !== '').join(', ')}</td>
          <td className="number">{clockTime(first.at / 1000)} UTC</td>
        </tr>
      ))}
    </Evidence>
  );
}

function Packets({ answer: { packets, packetCount }, look }: { answer: FindingAnswer; look: string }): ReactNode {
  const heads = [t.number, t.when, t.node, t.place, `${t.source} → ${t.target}`, t.sequence, t.bytes, t.what];
  const more = packetCount - packets.length;
  return (
    <>
      <Evidence id="packets" title={t.packets} heads={heads}>
        {packets.map((packet) => (
          <PacketRow key={`${packet.number} ${packet.what}`} packet={packet} look={look} />
        ))}
      </Evidence>
      {more > 0 && <p className="quiet">{t.more(more)}</p>}
    </>
  );
}

function PacketRow({ packet, look }: { packet: FindingPacket; look: string }): ReactNode {
  const { number: at, node, place, source, target, sequence, length, what, drop } = packet;
  return (
    <tr>
      <td className="number" translate="no">
        <Link to="/packets" search={{ look, packet: at }}>
          {at}
        </Link>
      </td>
      <td className="number" translate="no">
        {new Date(packet.at / 1000).toISOString().slice(11, 23)}
      </td>
      <td translate="no">{node}</td>
      <td>{t.places[place]}</td>
      <td translate="no">
        {endText(source)} → {endText(target)}
      </td>
      <td className="number" translate="no">
        {sequence}
      </td>
      <td className="number" translate="no">
        {length}
      </td>
      <td>
        {t.fates[what]} {drop && <Data>{drop.reason || drop.function}</Data>}
      </td>
    </tr>
  );
}

function endText({ address, port }: FindingConversation['from']): string {
  if (port === 0) {
    return address;
  }
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function endsOf({ protocol, from, to }: FindingConversation): string {
  return `${protocol} ${endText(from)} ${endText(to)}`;
}

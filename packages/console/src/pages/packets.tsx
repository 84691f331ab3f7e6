/** Packets on their way: begins a look, and shows what it sees. Another tab opens it by its address. */
import { Button } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { ProblemError } from '../api/client.ts';
import type { Look } from '../api/types.ts';
import { useTitle } from '../data/title.ts';
import { captureCommand } from '../packets/capture-command.ts';
import { DecoderNote, LookCounts, LookGaps, LookState } from '../packets/look-bar.tsx';
import { PacketPanel } from '../packets/packet-detail.tsx';
import { PacketList } from '../packets/packet-list.tsx';
import type { PacketSearch } from '../packets/search.ts';
import { StartForm } from '../packets/start-form.tsx';
import { useEndAfter, useLook } from '../packets/use-look.ts';
import { AllowedPart } from '../parts/allowed.tsx';
import { CodeBlock } from '../parts/code-block.tsx';
import { Data } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { text } from '../text/index.ts';

const t = text.packets;

export function PacketsPage(): ReactNode {
  useTitle(t.title);
  const search = useSearch({ from: '/packets' });
  const navigate = useNavigate();
  const go = (next: PacketSearch, replace: boolean) => void navigate({ to: '/packets', search: next, replace });
  const { look, packet: _, display: __, ...begun } = search;
  return (
    <>
      <div className="bar">
        <h1>{t.title}</h1>
        <span className="grow" />
        {look !== undefined && (
          <Button variant="default" onClick={() => go(begun, false)}>
            {t.newLook}
          </Button>
        )}
      </div>
      <AllowedPart right="packets">
        {look === undefined ? (
          <StartForm
            search={search}
            onBegun={(next) => go({ ...next, ...(search.display && { display: search.display }) }, false)}
          />
        ) : (
          <LookPackets key={look} id={look} search={search} onSearch={(change) => go({ ...search, ...change }, true)} />
        )}
      </AllowedPart>
    </>
  );
}

interface LookPacketsProps {
  id: string;
  search: PacketSearch;
  onSearch(change: Partial<PacketSearch>): void;
}

function LookPackets({ id, search, onSearch }: LookPacketsProps): ReactNode {
  const shown = useLook(id, search.display ?? '');
  const { look, error, decoder } = shown;
  useEndAfter(look, search.for);
  if (error instanceof ProblemError && error.problem.status === 404) {
    return (
      <div className="panel" role="alert">
        <h2>{t.gone}</h2>
        <p>{t.goneHow}</p>
      </div>
    );
  }
  if (look === undefined) {
    return error ? <ProblemAlert error={error} /> : <p className="quiet">{text.common.loading}</p>;
  }
  const seconds = search.for ?? Number.POSITIVE_INFINITY;
  const endsAt = Math.min(Date.parse(look.endsAt), Date.parse(look.beganAt) + seconds * 1000);
  return (
    <>
      <Subject look={look} />
      <LookState {...shown} look={look} endsAt={endsAt} />
      <LookCounts {...shown} look={look} />
      <LookGaps look={look} />
      <DecoderNote decoder={decoder} />
      <PacketList shown={shown} search={search} onSearch={onSearch} />
      {search.packet === undefined ? (
        <p className="quiet">{t.pick}</p>
      ) : (
        <PacketPanel
          look={id}
          number={search.packet}
          onFilter={(display) => onSearch({ display })}
          onClose={() => onSearch({ packet: undefined })}
        />
      )}
      <CodeBlock label={t.wireshark} code={captureCommand(look)} />
    </>
  );
}

/** What is looked at, and the way to its packets as a file. */
function Subject({ look }: { look: Look }): ReactNode {
  const { id, policy, interfaces = [], words } = look;
  return (
    <div className="bar">
      <Data>{policy ?? interfaces.join(', ')}</Data>
      {words !== '' && <code translate="no">{words}</code>}
      <span className="grow" />
      <Button
        variant="default"
        component="a"
        href={`/api/v1/looks/${encodeURIComponent(id)}/packets.pcapng`}
        download={`look-${id}.pcapng`}
      >
        {t.download}
      </Button>
    </div>
  );
}

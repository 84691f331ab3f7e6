/** The join tokens that can be used, without their secrets. */
import { NumberInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { JoinTokenInfo, NodeToken } from '../api/types.ts';
import { dateTime } from '../text/format.ts';
import { text } from '../text/index.ts';
import { ConfirmButton, DialogButton, FormDialog, refusalOf } from './dialog.tsx';
import { Data } from './marks.tsx';
import { NamePicker } from './name-picker.tsx';
import { ProblemAlert } from './problem.tsx';
import { RowTable } from './row-table.tsx';
import { SecretDialog } from './secret-dialog.tsx';

const t = text.joinTokens;
/** Seconds of an hour, and hours that a token lives if nothing else is said, and at most. */
const [HOUR, USUAL, MOST] = [3600, 24, 720];
/** Nodes that join with one token of a pool at most. */
const MOST_USES = 1000;
/** Tokens that are listed at most: those that end first. */
const SHOWN = 200;
/** Milliseconds between two readings: tokens end, and are used up. */
const EVERY_MS = 10_000;

/** The panel of the page of nodes, for who may let nodes join. */
export function JoinTokens(): ReactNode {
  const [made, setMade] = useState<string>();
  const query = { limit: SHOWN, sort: 'expiresAt' } as const;
  const { data, error } = useQuery({
    queryKey: ['join tokens'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/join-tokens', { params: { query }, signal })),
    refetchInterval: EVERY_MS,
  });
  return (
    <>
      <div className="bar">
        <DialogButton label={t.create} dialog={(close) => <CreateDialog onClose={close} onMade={setMade} />} />
      </div>
      <ProblemAlert error={error} />
      {data?.items.length === 0 && <p className="quiet">{t.none}</p>}
      {data && data.items.length > 0 && (
        <RowTable heads={[t.node, t.pool, t.uses, t.ends, t.createdBy, text.table.actions]}>
          {data.items.map((token) => (
            <TokenRow key={token.id} token={token} />
          ))}
        </RowTable>
      )}
      {made !== undefined && (
        <SecretDialog title={t.tokenIs} how={t.tokenHow} secret={made} onClose={() => setMade(undefined)} />
      )}
    </>
  );
}

function TokenRow({ token: { id, node, pool, uses, expiresAt, createdBy } }: { token: JoinTokenInfo }): ReactNode {
  return (
    <tr>
      <td>
        <Data>{node}</Data>
      </td>
      <td>
        <Data>{pool}</Data>
      </td>
      <td>{uses}</td>
      <td>{dateTime(expiresAt)}</td>
      <td>
        <Data>{createdBy}</Data>
      </td>
      <td>
        <ConfirmButton
          label={t.revoke}
          title={t.revokeTitle(node ?? pool ?? '')}
          how={t.revokeHow}
          onConfirm={() => answer(api.DELETE('/api/v1/join-tokens/{id}', { params: { path: { id } } }))}
        />
      </td>
    </tr>
  );
}

/** A token for a node, once; or for so many new nodes of a pool. */
function CreateDialog({ onClose, onMade }: { onClose(): void; onMade(token: string): void }): ReactNode {
  const [node, setNode] = useState('');
  const [pool, setPool] = useState('');
  const [uses, setUses] = useState<number | string>(1);
  const [hours, setHours] = useState<number | string>(USUAL);
  const create = async () => {
    const lifetimeSeconds = Math.round(Number(hours) * HOUR);
    const body = { ...(node && { node }), ...(pool && { pool, uses: Number(uses) }), lifetimeSeconds };
    const made = (await answer(api.POST('/api/v1/join-tokens', { body }))) as NodeToken;
    onMade(made.token);
  };
  return (
    <FormDialog
      title={t.create}
      submit={t.create}
      canSubmit={(node === '') !== (pool === '')}
      onSubmit={create}
      onClose={onClose}
    >
      {(error) => (
        <>
          <p className="quiet">{t.createHow}</p>
          <NamePicker list="nodes" label={t.node} value={node} onChange={setNode} error={refusalOf(error, 'node')} />
          <NamePicker list="pools" label={t.pool} value={pool} onChange={setPool} error={refusalOf(error, 'pool')} />
          <NumberInput
            label={t.uses}
            disabled={pool === ''}
            min={1}
            max={MOST_USES}
            value={uses}
            onChange={setUses}
            error={refusalOf(error, 'uses')}
          />
          <NumberInput
            label={t.hours}
            min={1}
            max={MOST}
            value={hours}
            onChange={setHours}
            error={refusalOf(error, 'lifetimeSeconds')}
          />
        </>
      )}
    </FormDialog>
  );
}

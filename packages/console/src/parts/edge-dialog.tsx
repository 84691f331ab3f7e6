/** Declares an edge-connected interface, or changes the declaration of one. */
import { TextInput } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Interface } from '../api/types.ts';
import { parseRanges, ranges } from '../text/format.ts';
import { text } from '../text/index.ts';
import { FormDialog, refusalOf } from './dialog.tsx';
import { NamePicker } from './name-picker.tsx';

const t = text.edge;

export function EdgeDialog(props: { current?: Interface; onClose(): void; onDeclared?(id: string): void }): ReactNode {
  const { current, onClose, onDeclared } = props;
  const [id, setId] = useState(current?.id ?? '');
  const [name, setName] = useState(current?.name ?? '');
  const [node, setNode] = useState(current?.edge?.node ?? '');
  const [device, setDevice] = useState(current?.edge?.device ?? '');
  const [vlans, setVlans] = useState(ranges(current?.edge?.allowedVlans ?? []));
  const allowed = vlans.trim() === '' ? undefined : parseRanges(vlans);
  const isWrong = vlans.trim() !== '' && allowed === undefined;
  const save = async () => {
    // An edge that is known by its MAC address stays so, unless a device is written.
    const by = device === '' && current?.edge?.mac !== undefined ? { mac: current.edge.mac } : { device };
    const edge = { node, ...by, ...(allowed && { allowedVlans: allowed }) };
    const header = current ? { 'If-Match': `"${current.revision}"` } : { 'If-None-Match': '*' };
    await answer(
      api.PUT('/api/v1/interfaces/{id}', {
        params: { path: { id }, header },
        body: { kind: 'edge', name, edge },
      }),
    );
    onDeclared?.(id);
  };
  return (
    <FormDialog
      title={current ? text.interfaces.changeEdge : t.title}
      submit={text.common.save}
      canSubmit={id !== '' && node !== '' && !isWrong}
      onSubmit={save}
      onClose={onClose}
    >
      {(error) => (
        <>
          {!current && (
            <TextInput
              label={t.id}
              description={t.idHow}
              value={id}
              onChange={({ currentTarget }) => setId(currentTarget.value)}
              error={refusalOf(error, 'id')}
              data-autofocus
            />
          )}
          <TextInput label={t.name} value={name} onChange={({ currentTarget }) => setName(currentTarget.value)} />
          <NamePicker
            list="nodes"
            label={t.node}
            value={node}
            onChange={setNode}
            error={refusalOf(error, 'edge.node')}
          />
          <TextInput
            label={t.device}
            description={t.deviceHow}
            value={device}
            onChange={({ currentTarget }) => setDevice(currentTarget.value)}
            error={refusalOf(error, 'edge.device')}
          />
          <TextInput
            label={t.vlans}
            description={t.vlansHow}
            value={vlans}
            onChange={({ currentTarget }) => setVlans(currentTarget.value)}
            error={isWrong ? t.vlansWrong : refusalOf(error, 'edge.allowedVlans')}
          />
        </>
      )}
    </FormDialog>
  );
}

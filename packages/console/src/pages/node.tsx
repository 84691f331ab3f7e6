/** One node: what it was told and has confirmed, what it is, and its devices. */
import { Alert, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { lazy, type ReactNode, Suspense, useState } from 'react';
import { answer, api } from '../api/client.ts';
import type { Device, Node, NodeState, NodeToken } from '../api/types.ts';
import { useTopic } from '../data/stream.ts';
import { useTitle } from '../data/title.ts';
import { Allowed } from '../parts/allowed.tsx';
import { CodeBlock } from '../parts/code-block.tsx';
import { ConfirmButton, DeleteButton, Dialog, DialogButton } from '../parts/dialog.tsx';
import { EventList } from '../parts/event-list.tsx';
import { Facts } from '../parts/facts.tsx';
import { Data, Mark, NodeMark, Said, Unknown } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { ReasonList } from '../parts/reasons.tsx';
import { type Column, DataTable } from '../parts/table.tsx';
import { bitRate, dateTime, number } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.nodes;
/** Charts come with a library of their own: the page is there before them. */
const NodeHistory = lazy(() => import('../parts/node-history.tsx').then((module) => ({ default: module.NodeHistory })));

export function NodePage(): ReactNode {
  const { name } = useParams({ from: '/nodes/$name' });
  useTitle(name);
  useTopic('nodes');
  const { data: node, error } = useQuery({
    queryKey: ['nodes', 'one', name],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/nodes/{name}', { params: { path: { name } }, signal })),
    refetchInterval: 5_000,
  });
  return (
    <>
      <div className="bar">
        <h1 translate="no">{name}</h1>
        {node && <NodeMark state={stateOf(node)} />}
        <span className="grow" />
        {node && <Actions node={node} />}
      </div>
      <ProblemAlert error={error} />
      {node && (
        <>
          {node.problems.length > 0 && (
            <section className="panel" aria-labelledby="problems">
              <h2 id="problems">{t.problems}</h2>
              <ReasonList reasons={node.problems} />
            </section>
          )}
          <NodeFacts node={node} />
          <Devices devices={node.devices ?? []} />
          <Suspense fallback={<p className="quiet">{text.common.loading}</p>}>
            <NodeHistory name={name} />
          </Suspense>
          <section className="panel" aria-labelledby="events">
            <h2 id="events">{text.menu.events}</h2>
            <EventList limit={20} object={`node/${name}`} />
          </section>
        </>
      )}
    </>
  );
}

/** As the list of nodes has it. */
function stateOf({ connected, programRevision, appliedRevision }: Node): NodeState {
  return connected ? (programRevision === appliedRevision ? 'ready' : 'pending') : 'disconnected';
}

function NodeFacts({ node }: { node: Node }): ReactNode {
  const { underlay, programRevision, appliedRevision, hook, ending = [], budgets = [] } = node;
  const isInForce = programRevision !== undefined && programRevision === appliedRevision;
  return (
    <div className="grid-2">
      <Facts
        facts={[
          [t.pool, <Data key="v">{node.pool}</Data>],
          [t.version, node.agentVersion === undefined ? <Unknown key="v" /> : <Data key="v">{node.agentVersion}</Data>],
          [t.kernel, node.kernel === undefined ? <Unknown key="v" /> : <Data key="v">{node.kernel}</Data>],
          [t.hook, hook === undefined ? <Unknown key="v" /> : t.hookHow(hook)],
          [t.lastSeen, node.lastSeenAt === undefined ? t.never : <Data key="v">{dateTime(node.lastSeenAt)}</Data>],
          [
            t.certificate,
            node.certificateEndsAt === undefined ? (
              <Unknown key="v" />
            ) : (
              <Data key="v">{dateTime(node.certificateEndsAt)}</Data>
            ),
          ],
        ]}
      />
      <Facts
        facts={[
          [
            t.underlay,
            underlay === undefined ? (
              t.underlayNever
            ) : (
              <>
                <Data>
                  {underlay.address} ({underlay.device})
                </Data>{' '}
                {t.mtu(underlay.mtu)}
              </>
            ),
          ],
          [t.encryption, underlay && encryptionOf(underlay)],
          [t.told, programRevision === undefined ? t.never : <Data key="v">{programRevision}</Data>],
          [
            t.applied,
            <span key="v">
              {appliedRevision === undefined ? <Unknown /> : <Data>{appliedRevision}</Data>}{' '}
              {programRevision !== undefined && (
                <Mark tone={isInForce ? 'good' : 'calm'} sign={isInForce ? '✓' : '◔'}>
                  {isInForce ? t.inForce : t.behind}
                </Mark>
              )}
            </span>,
          ],
          [t.ending, ending.length > 0 ? <Data key="v">{ending.join(', ')}</Data> : undefined],
          [t.budgets, budgets.length > 0 ? <Budgets key="v" budgets={budgets} /> : undefined],
        ]}
      />
    </div>
  );
}

function encryptionOf({ wireguard }: NonNullable<Node['underlay']>): string {
  return wireguard ? t.encrypts(wireguard.port) : t.encryptsNot;
}

function Budgets({ budgets }: { budgets: NonNullable<Node['budgets']> }): ReactNode {
  return budgets.map(({ device, bytesPerSecond }) => (
    <div key={device}>
      <Data>{device}</Data>: {bytesPerSecond === 0 ? t.noLimit : <Data>{bitRate(bytesPerSecond * 8)}</Data>}
    </div>
  ));
}

const DEVICE_COLUMNS: readonly Column<Device>[] = [
  { key: 'name', header: t.device, width: 'minmax(120px,1fr)', cell: ({ name }) => <Data>{name}</Data> },
  { key: 'mac', header: text.interfaces.mac, width: '140px', cell: ({ mac }) => <Data>{mac}</Data> },
  { key: 'mtu', header: text.interfaces.mtu, width: '70px', align: 'end', cell: ({ mtu }) => <Data>{mtu}</Data> },
  {
    key: 'up',
    header: t.state,
    width: '80px',
    cell: ({ up }) => (up ? text.interfaces.up : text.interfaces.down),
  },
  { key: 'link', header: t.link, width: '90px', cell: ({ linkType }) => <Data>{linkType}</Data> },
  {
    key: 'identity',
    header: t.identity,
    width: 'minmax(120px,1fr)',
    cell: ({ identity, identityError }) =>
      identity ? (
        <Data>{identity.id}</Data>
      ) : identityError === undefined ? (
        <span className="quiet">{t.noIdentity}</span>
      ) : (
        <Said>{identityError}</Said>
      ),
  },
  {
    key: 'why',
    header: t.mirrorable,
    width: 'minmax(240px,3fr)',
    cell: ({ notMirrorable }) => <Said>{notMirrorable?.guest ?? notMirrorable?.edge ?? ''}</Said>,
  },
];

/** All devices of the node are here already: this filter is the only one that the browser does. */
function Devices({ devices }: { devices: readonly Device[] }): ReactNode {
  const [filter, setFilter] = useState('');
  const words = filter.toLowerCase().split(/\s+/);
  const rows = devices.filter(({ name, mac, identity }) => {
    const said = `${name} ${mac} ${identity?.id ?? ''}`.toLowerCase();
    return words.every((word) => said.includes(word));
  });
  return (
    <section className="panel" aria-labelledby="devices">
      <div className="bar">
        <h2 id="devices">
          {t.devices} <span className="quiet number">{number(devices.length)}</span>
        </h2>
        <TextInput
          type="search"
          aria-label={text.table.filter}
          placeholder={t.deviceFilter}
          value={filter}
          onChange={({ currentTarget }) => setFilter(currentTarget.value)}
        />
      </div>
      <DataTable
        label={t.devices}
        columns={DEVICE_COLUMNS}
        rows={rows}
        total={rows.length}
        idOf={({ ifindex }) => String(ifindex)}
        empty={devices.length === 0 ? t.noDevices : text.table.filtered}
        height={300}
      />
    </section>
  );
}

function Actions({ node: { name, pool } }: { node: Node }): ReactNode {
  const navigate = useNavigate();
  const about = { pool };
  return (
    <>
      <Allowed right="nodes" about={about} label={t.join}>
        <JoinButton name={name} />
      </Allowed>
      <Allowed right="nodes" about={about} label={t.revoke}>
        <ConfirmButton
          label={t.revoke}
          title={t.revokeTitle(name)}
          how={t.revokeHow}
          onConfirm={() => answer(api.POST('/api/v1/nodes/{name}/revoke', { params: { path: { name } } }))}
        />
      </Allowed>
      <Allowed right="nodes" about={about} label={text.common.delete}>
        <DeleteButton
          title={t.deleteTitle(name)}
          how={t.deleteHow}
          onDelete={async () => {
            await answer(api.DELETE('/api/v1/nodes/{name}', { params: { path: { name } } }));
            await navigate({ to: '/nodes' });
          }}
        />
      </Allowed>
    </>
  );
}

/** Makes a join token when it is asked for, and shows it once. */
function JoinButton({ name }: { name: string }): ReactNode {
  return <DialogButton label={t.join} dialog={(close) => <JoinDialog name={name} onClose={close} />} />;
}

function JoinDialog({ name, onClose }: { name: string; onClose(): void }): ReactNode {
  const { data, error } = useQuery({
    queryKey: ['join token', name],
    queryFn: async () => {
      const made = await answer(api.POST('/api/v1/nodes/{name}/token', { params: { path: { name } } }));
      return made as NodeToken;
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });
  const command = `mirrorplane agent --node ${name} --controller ${location.hostname}:7071 --token-file -`;
  return (
    <Dialog title={t.join} size="lg" onClose={onClose}>
      <ProblemAlert error={error} />
      {data && (
        <div className="panel">
          <CodeBlock label={t.joinHow} code={command} />
          <CodeBlock label={t.joinPaste} code={data.token} />
          <Alert color="blue">{t.joinUntil(dateTime(data.expiresAt))}</Alert>
        </div>
      )}
    </Dialog>
  );
}

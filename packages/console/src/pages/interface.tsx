/** One interface: what it is, where it is, and who can see it. */
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams } from '@tanstack/react-router';
import { lazy, type ReactNode, Suspense } from 'react';
import { answer, api } from '../api/client.ts';
import type { Interface } from '../api/types.ts';
import { useList } from '../data/lists.ts';
import { useTopic } from '../data/stream.ts';
import { useTitle } from '../data/title.ts';
import { Allowed, AllowedLink } from '../parts/allowed.tsx';
import { DeleteButton, DialogButton } from '../parts/dialog.tsx';
import { EdgeDialog } from '../parts/edge-dialog.tsx';
import { EventList } from '../parts/event-list.tsx';
import { Facts } from '../parts/facts.tsx';
import { Traffic } from '../parts/interface-traffic.tsx';
import { Data, Known, Said, Unknown } from '../parts/marks.tsx';
import { ProblemAlert } from '../parts/problem.tsx';
import { Viewers } from '../parts/viewers.tsx';
import { bitRate, number, ranges } from '../text/format.ts';
import { text } from '../text/index.ts';

const t = text.interfaces;
/** Charts come with a library of their own: the page is there before them. */
const DestinationHistory = lazy(() =>
  import('../parts/destination-history.tsx').then((module) => ({ default: module.DestinationHistory })),
);

export function InterfacePage(): ReactNode {
  const { id } = useParams({ from: '/interfaces/$id' });
  useTitle(id);
  useTopic(`interface:${id}`);
  const { data, error } = useQuery({
    queryKey: [`interface:${id}`, 'one'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/interfaces/{id}', { params: { path: { id } }, signal })),
  });
  return (
    <>
      <div className="bar">
        <h1 translate="no">{id}</h1>
        {data && <span className="quiet">{text.kinds[data.kind]}</span>}
        <span className="grow" />
        <AllowedLink right="packets" label={text.findings.fromHere}>
          <Link to="/findings" search={{ from: id }}>
            {text.findings.fromHere}
          </Link>
        </AllowedLink>
        {data && <Actions item={data} />}
      </div>
      <ProblemAlert error={error} />
      {data && (
        <>
          <InterfaceFacts item={data} />
          <Traffic id={id} />
          <Devices item={data} />
          <Received id={id} />
          <Viewers id={id} />
        </>
      )}
      <section className="panel" aria-labelledby="events">
        <h2 id="events">{text.menu.events}</h2>
        <EventList limit={20} object={`interface/${id}`} />
      </section>
    </>
  );
}

function InterfaceFacts({ item }: { item: Interface }): ReactNode {
  const { name, network, pool, home, edge, boundTo, declared } = item;
  const data = (value: string | undefined) => value !== undefined && value !== '' && <Data>{value}</Data>;
  return (
    <Facts
      facts={[
        [t.name, data(name) || undefined],
        [t.network, data(network) || undefined],
        [t.pool, data(pool) || <Unknown key="v" />],
        [t.home, data(home) || undefined],
        [t.boundTo, data(boundTo) || undefined],
        [t.declared, declared ? text.common.yes : text.common.no],
        [text.edge.node, data(edge?.node) || undefined],
        [text.edge.device, data(edge?.device ?? edge?.mac) || undefined],
        [t.vlans, edge && (edge.allowedVlans ? data(ranges(edge.allowedVlans)) : t.vlansUnchecked)],
      ]}
    />
  );
}

function Devices({ item: { devices, home } }: { item: Interface }): ReactNode {
  return (
    <section className="panel" aria-labelledby="devices">
      <h2 id="devices">{t.devices}</h2>
      {devices.length === 0 && <p className="quiet">{t.noDevices}</p>}
      {devices.map((device) => (
        <Facts
          key={`${device.node} ${device.ifindex}`}
          facts={[
            [
              t.node,
              <Link key="v" to="/nodes/$name" params={{ name: device.node }} translate="no">
                {device.node}
              </Link>,
            ],
            [t.device, <Data key="v">{device.name}</Data>],
            [t.mac, <Data key="v">{device.mac}</Data>],
            [t.mtu, <Data key="v">{device.mtu}</Data>],
            [
              text.nodes.state,
              <span key="v">
                {device.up ? t.up : t.down} {device.guest === 'absent' && device.node !== home && t.absent}
              </span>,
            ],
            [t.why, device.notMirrorable && <Said key="v">{`${device.name} ${device.notMirrorable}`}</Said>],
            [t.destination, device.noDestination && <Said key="v">{`${device.name} ${device.noDestination}`}</Said>],
            [text.form.warnings, device.warning && <Said key="v">{device.warning}</Said>],
          ]}
        />
      ))}
    </section>
  );
}

/** What it gets as a destination. Nothing where it is none. */
function Received({ id }: { id: string }): ReactNode {
  useTopic(`destination:${id}`);
  const { rows } = useList('destinations', { filter: `"${id}"` });
  const item = rows.find((one) => one.id === id);
  if (item === undefined) {
    return null;
  }
  const { policies, policyCount, delivered, rates } = item;
  return (
    <section className="panel" aria-labelledby="received">
      <h2 id="received">{t.received}</h2>
      <Facts
        facts={[
          [
            text.destinations.policies,
            <span key="v">
              {policies.map((name) => (
                <span key={name}>
                  <Link to="/policies/$name" params={{ name }} translate="no">
                    {name}
                  </Link>{' '}
                </span>
              ))}
              {policyCount > policies.length && text.destinations.more(policyCount - policies.length)}
            </span>,
          ],
          [t.receivedPackets, <Known key="v" value={delivered?.packets} as={number} />],
          [text.destinations.rate, <Known key="v" value={rates.delivered?.bitsPerSecond} as={bitRate} />],
        ]}
      />
      <Suspense fallback={<p className="quiet">{text.common.loading}</p>}>
        <DestinationHistory id={id} />
      </Suspense>
    </section>
  );
}

function Actions({ item }: { item: Interface }): ReactNode {
  const navigate = useNavigate();
  if (!item.declared) {
    return null;
  }
  const { id } = item;
  const about = `interface/${id}` as const;
  return (
    <>
      {item.edge && (
        <Allowed right="inventory" about={about} label={t.changeEdge}>
          <DialogButton label={t.changeEdge} dialog={(close) => <EdgeDialog current={item} onClose={close} />} />
        </Allowed>
      )}
      <Allowed right="inventory" about={about} label={text.common.delete}>
        <DeleteButton
          title={t.deleteTitle(id)}
          how={t.deleteHow}
          onDelete={async () => {
            await answer(api.DELETE('/api/v1/interfaces/{id}', { params: { path: { id } } }));
            await navigate({ to: '/interfaces' });
          }}
        />
      </Allowed>
    </>
  );
}

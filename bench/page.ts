/** The tables of docs/performance.md, and which rows of a run are in them. */

/** One table: a line for each way to mirror. */
export interface Table {
  /** Part and metric of the rows, as `packets/sent`. */
  metric: string;
  /** What stands before it where a section has several. */
  lead?: string;
  /** More columns of the same ways: a metric, and the head of its column. */
  beside?: readonly { metric: string; head: string }[];
}

export interface Section {
  title: string;
  tables: readonly Table[];
}

const fates = (part: string) => [
  { metric: `${part}/delivered`, head: 'delivered' },
  { metric: `${part}/copied`, head: 'copied' },
];

/** In the order of the page. Rows that no section names come at its end. */
export const SECTIONS: readonly Section[] = [
  { title: 'One TCP stream, one CPU', tables: [{ metric: 'stream-one-cpu/throughput' }] },
  { title: 'One TCP stream, two CPUs', tables: [{ metric: 'stream/throughput' }] },
  {
    title: 'CPU time of one TCP stream at 4 Gbit/s (one CPU)',
    tables: [{ metric: 'stream-cpu/total' }, { metric: 'stream-cpu/copies', lead: 'What a copy adds:' }],
  },
  {
    title: '64-byte UDP from one sending CPU',
    tables: [{ metric: 'packets/sent', beside: fates('packets') }],
  },
  {
    title: 'CPU time of 64-byte UDP at 200 kpps',
    tables: [{ metric: 'packets-cpu/total' }, { metric: 'packets-cpu/copies', lead: 'What a copy adds:' }],
  },
  {
    title: 'TCP request and response',
    tables: [
      { metric: 'latency/one-cpu-low', lead: 'On one CPU, the lower quartile:' },
      { metric: 'latency/one-cpu-p50', lead: 'On one CPU, the median:' },
      { metric: 'latency/two-cpus-p50', lead: 'On two CPUs, the median:' },
    ],
  },
  {
    title: 'Other mirrors',
    tables: [
      { metric: 'peers/sent', lead: '64-byte packets from one sending CPU:', beside: fates('peers') },
      { metric: 'peers-cpu/total', lead: 'CPU time of all processes at 40 kpps:', beside: fates('peers-cpu') },
    ],
  },
  {
    title: 'Rates at which loss begins',
    tables: [
      {
        metric: 'steps/without-loss',
        beside: [
          { metric: 'steps/copies-lost-below', head: 'copies lost below it, a million' },
          { metric: 'steps/dropped-below', head: 'of these counted as dropped' },
        ],
      },
    ],
  },
  { title: 'IMIX', tables: [{ metric: 'imix/sent', beside: fates('imix') }] },
  {
    title: '200 flows, TCP and UDP',
    tables: [
      {
        metric: 'flows/total',
        beside: [
          { metric: 'flows/datagrams-delivered', head: 'datagrams delivered' },
          { metric: 'flows/copied', head: 'bytes copied' },
        ],
      },
    ],
  },
  {
    title: '1, 16 and 256 sources on a node',
    tables: [1, 16, 256].map((count) => ({
      metric: `sources-${count}/sent`,
      lead: `${count}:`,
      beside: fates(`sources-${count}`),
    })),
  },
  {
    title: 'A QEMU guest behind a tap',
    tables: [{ metric: 'guest/sent', beside: fates('guest') }],
  },
  {
    title: "The kernel's own ERSPAN device",
    tables: [
      { metric: 'device-packets/sent', lead: '64-byte packets from one CPU:' },
      { metric: 'device-stream/sent', lead: 'One TCP stream on one CPU:' },
    ],
  },
  {
    title: 'Two sending CPUs',
    tables: [
      { metric: 'cpus/alone', lead: 'One CPU:' },
      { metric: 'cpus/together', lead: 'Two CPUs against twice one:' },
    ],
  },
  {
    title: 'The necessary calls alone',
    tables: [
      { metric: 'stream-trial/one-cpu', lead: 'One TCP stream on one CPU:' },
      { metric: 'packets-trial/one-cpu', lead: '64-byte packets from one CPU:' },
      { metric: 'latency-trial/one-cpu', lead: 'Request and response on one CPU, the lower quartile:' },
    ],
  },
  { title: 'Runs on one packet', tables: [{ metric: 'runs' }] },
  { title: 'Program runs', tables: [{ metric: 'programs' }] },
];

/** As the page names ways and what they are compared with. Other names stay as they are. */
export const TITLES: Record<string, string> = {
  none: 'no mirror',
  local: 'local mirror',
  mirred: '`tc` mirred',
  'percent-0': 'sampled out',
  erspan: 'ERSPAN, sender',
  'erspan-limited': 'ERSPAN, sender, with a limit that refuses nothing',
  'erspan-two-nodes': 'ERSPAN, sender, two nodes',
  'erspan-received': 'ERSPAN, receiver',
  'nft-dup': '`nft dup`',
  'libpcap-local': 'libpcap to a device',
  'libpcap-gre': 'libpcap to GRE',
  'ovs-userspace': 'Open vSwitch in user space, to ERSPAN',
  'ovs-userspace-local': 'Open vSwitch in user space, to a port',
  'erspan-1500': 'ERSPAN, MTU 1500, both nodes',
  'erspan-1600': 'ERSPAN, MTU 1600, both nodes',
  'erspan-1500-sender': 'ERSPAN, MTU 1500, sending node alone',
  'erspan-1600-sender': 'ERSPAN, MTU 1600, sending node alone',
  'trial-local': 'the calls of a local mirror alone',
  'trial-erspan': 'the calls of ERSPAN alone, both nodes',
  'trial-erspan-sender': 'the calls of ERSPAN alone, sending node',
  'trial-mirred-erspan-sender': 'the same, and `tc` mirred makes the clone',
  'trial-direct-erspan-sender': 'the same, without the helper device',
  'erspan-device-sender': 'mirred to a kernel `erspan` device, sending node alone',
};

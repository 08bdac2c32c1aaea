/** Services without an adapter: known databases are stopped by their unit, others that keep state are left to a person. Pure. */
import { serverOf } from './databases.ts';
import type { Findings, FoundProcess } from './findings.ts';
import { onAnotherMount, outsideOfBackups } from './places.ts';
import type { Part } from './proposal.ts';

/** Databases that no adapter speaks to: by the name of the process or, where that is `java` or `beam.smp`, of the unit. */
const ENGINES: readonly { title: string; process?: RegExp; unit?: RegExp }[] = [
  { title: 'MongoDB', process: /^mongod$/ },
  { title: 'InfluxDB', process: /^influxd/ },
  { title: 'Elasticsearch', unit: /^elasticsearch/ },
  { title: 'OpenSearch', unit: /^opensearch(?!-dashboards)/ },
  { title: 'Cassandra', unit: /^cassandra/ },
  { title: 'CouchDB', unit: /^couchdb/ },
  { title: 'RabbitMQ', unit: /^rabbitmq/ },
  { title: 'Neo4j', unit: /^neo4j/ },
  { title: 'ClickHouse', process: /^clickhouse/ },
  { title: 'etcd', process: /^etcd$/ },
  { title: 'Prometheus', process: /^prometheus$/ },
  { title: 'VictoriaMetrics', process: /^victoria-metri/ },
  { title: 'Meilisearch', process: /^meilisearch$/ },
  { title: 'Qdrant', process: /^qdrant$/ },
  { title: 'MinIO', process: /^minio$/ },
  { title: 'KeyDB', process: /^keydb-server$/ },
  { title: 'OpenLDAP', process: /^slapd$/ },
  { title: 'Firebird', process: /^firebird/ },
];

/** Of Debian's base system, of felhom, or what is held in another way: no state that a backup could tear apart. */
const BASE =
  /^(?:accounts-daemon|anacron|apt-|atd|avahi|bluetooth|chrony|colord|containerd|cron|cups|dbus|dnsmasq|docker|e2scrub|exim4|felhom|fwupd|getty|ifup|ModemManager|multipathd|networkd|NetworkManager|networking|nscd|ntp|openntpd|packagekit|polkit|postfix|qemu-guest-agent|rpcbind|rsyslog|smartd|smartmontools|snapd|ssh|sssd|systemd-|udisks2|unattended-upgrades|unbound|user@|wpa_supplicant|[a-z-]*getty@)/;

/** Where services keep what is theirs; the first directories below say whose. */
const STATE = /^(?:\/var\/lib\/[^/]+|\/var\/opt\/[^/]+|\/srv\/[^/]+|\/opt\/[^/]+|\/data\/[^/]+)(?=\/)/;

const stateOf = (processes: readonly FoundProcess[]): string[] => {
  const files = processes.flatMap((one) => one.files ?? []).filter(({ writable }) => writable);
  return [...new Set(files.flatMap(({ path }) => STATE.exec(path)?.[0] ?? []))].sort();
};

const byUnit = (processes: readonly FoundProcess[]): Map<string, FoundProcess[]> => {
  const units = new Map<string, FoundProcess[]>();
  for (const one of processes) {
    if (one.unit !== null && one.container === null) units.set(one.unit, [...(units.get(one.unit) ?? []), one]);
  }
  return new Map([...units].sort(([a], [b]) => (a < b ? -1 : 1)));
};

const engineOf = ({ name, unit }: FoundProcess): string | null =>
  ENGINES.find((one) => one.process?.test(name) || (unit !== null && one.unit?.test(unit)))?.title ?? null;

const withData = (data: string[]): { data?: string[] } => (data.length === 0 ? {} : { data });

const dataUnknown = (data: readonly string[]): string[] =>
  data.length > 0 ? [] : ['Name the directories of its data as `data: [/path]`, or an archive is never "app".'];

const stoppedUnit = (unit: string, title: string, data: string[], { mounts }: Findings): Part => {
  const outside = data.flatMap((path) => outsideOfBackups(mounts, path) ?? []);
  return {
    proposed: [
      {
        entry: { name: unit.replace(/\.service$/, ''), adapter: 'systemd', units: [unit], ...withData(data) },
        why: [
          `${title} has no adapter: its unit is stopped for the seconds until the data is fixed, then started again.`,
          ...dataUnknown(data),
          ...onAnotherMount(mounts, data),
        ],
        active: true,
      },
    ],
    uncovered: outside.map((sentence) => `${title}: ${sentence}, which is in no backup of this guest.`),
  };
};

const forAPerson = (unit: string, data: string[], { mounts }: Findings): Part => ({
  proposed: [
    {
      entry: { name: unit.replace(/\.service$/, ''), adapter: 'systemd', units: [unit], ...withData(data) },
      why: [
        data.length > 0
          ? 'It keeps files open for writing there. Take the marks away if it should be stopped for a moment.'
          : 'It listens, and may keep state. Take the marks away if it should be stopped for a moment.',
        ...dataUnknown(data),
        ...onAnotherMount(mounts, data),
      ],
      active: false,
    },
  ],
});

/** A unit with a database that has an entry of its own. */
const isHeldOtherwise = (processes: readonly FoundProcess[]): boolean =>
  processes.some((one) => serverOf(one) !== null || (one.files ?? []).some(({ sqlite }) => sqlite));

/** Known engines that belong to no system unit, once each. */
const unitless = (processes: readonly FoundProcess[]): string[] => {
  const titles = processes.flatMap((one) => {
    const title = one.unit === null && one.container === null ? engineOf(one) : null;
    return title === null
      ? []
      : [`${title} (process ${one.pid}) has no adapter, and belongs to no system unit that could be stopped.`];
  });
  return [...new Set(titles)];
};

const ofAUnit = (unit: string, processes: readonly FoundProcess[], findings: Findings): Part => {
  const title = processes.map(engineOf).find((one) => one !== null) ?? null;
  const data = stateOf(processes);
  if (title !== null) return stoppedUnit(unit, title, data, findings);
  const matters = data.length > 0 || processes.some(({ listens }) => listens.length > 0);
  return BASE.test(unit) || isHeldOtherwise(processes) || !matters ? {} : forAPerson(unit, data, findings);
};

export const services = (findings: Findings): Part[] => [
  ...[...byUnit(findings.processes)].map(([unit, processes]) => ofAUnit(unit, processes, findings)),
  { uncovered: unitless(findings.processes) },
];

const VIRTUAL_MACHINE = /^(?:qemu-system|kvm$|VBoxHeadless|firecracker|cloud-hyperviso)/;

/** What runs in something that nothing here can hold: virtual machines, containers that are not Docker's. */
export const insideOthers = ({ processes, docker }: Findings): Part[] => {
  const machines = processes.filter(({ name }) => VIRTUAL_MACHINE.test(name));
  const known = new Set(Array.isArray(docker) ? docker.map(({ id }) => id) : []);
  const foreign = processes.filter(
    ({ container }) =>
      container !== null && !(container.engine === 'docker' && (known.has(container.id) || typeof docker === 'string')),
  );
  const databases = foreign.filter((one) => serverOf(one) !== null || engineOf(one) !== null);
  return [
    {
      uncovered: machines.map(
        ({ pid }) => `A virtual machine inside this guest (process ${pid}): in an archive it is as after a power cut.`,
      ),
    },
    {
      uncovered: [
        ...new Set(
          databases.map(
            ({ name, container }) =>
              `${name} in a container of ${container?.engine === 'podman' ? 'Podman' : 'an engine without an adapter'}: hold its unit with the adapter systemd.`,
          ),
        ),
      ],
    },
  ];
};

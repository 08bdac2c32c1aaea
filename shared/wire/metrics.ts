/** The host's health, as a guest may see it. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Vmid } from '../ids.ts';
import { couldNotAsk } from './refusals.ts';
import { DriveClass, DriveHealth, Fraction, nullable, Percent } from './values.ts';

export const Host = Type.Object({
  node: Type.String(),
  cpu_percent: nullable(Percent),
  memory_total_bytes: nullable(Type.Integer()),
  memory_used_bytes: nullable(Type.Integer()),
  memory_percent: nullable(Percent),
  disk_total_bytes: nullable(Type.Integer()),
  disk_used_bytes: nullable(Type.Integer()),
  disk_percent: nullable(Percent),
  loadavg: Type.Array(Type.String(), { minItems: 3, maxItems: 3 }),
  uptime_seconds: nullable(Type.Integer()),
  cpu_temp_c: nullable(Type.Integer()),
});

/** `stale`: the target did not answer in time, the figures are the last ones; `unknown`: nothing was ever heard of it. */
const TargetState = Type.Union([
  Type.Literal('active'),
  Type.Literal('inactive'),
  Type.Literal('disabled'),
  Type.Literal('stale'),
  Type.Literal('unknown'),
]);

export const StorageTarget = Type.Object({
  name: Type.String(),
  /** Proxmox's storage type: `dir`, `lvmthin`, `zfspool`, `nfs`, `pbs` and more */
  type: Type.String(),
  state: TargetState,
  reachable: Type.Boolean(),
  total_bytes: nullable(Type.Integer()),
  used_bytes: nullable(Type.Integer()),
  avail_bytes: nullable(Type.Integer()),
  used_fraction: nullable(Fraction),
  /** Proxmox's comma list, sorted: `backup,iso`. */
  content: Type.String(),
  mount_path: Type.String(),
  class_hint: DriveClass,
  /** Age of the capacity figures. */
  age_seconds: nullable(Type.Integer()),
  /** Of an LVM-thin storage, as the kernel knows it. A pool whose metadata is full loses writes as surely as one whose data is. */
  thin_pool: Type.Optional(Type.Object({ data_used_fraction: nullable(Fraction), metadata_used_fraction: nullable(Fraction) })),
  /** The worst of the drives behind it. */
  smart: DriveHealth,
});

/** A source of the answer that did not answer in time: its figures are the last ones, or null. */
export const StaleSource = Type.Object({ source: Type.String(), age_seconds: nullable(Type.Integer()) });

export const HostMetrics = typed(
  Type.Object({
    vmid: Vmid,
    host: Host,
    storage_targets: Type.Array(StorageTarget),
    stale: Type.Array(StaleSource),
  }),
);
export type HostMetrics = TypeOf<typeof HostMetrics>;

export const getHostMetrics = endpoint({
  method: 'GET',
  path: '/host/metrics',
  access: 'metrics',
  summary: "The host's processor, memory, disk, temperature and storage targets, measured for this request.",
  reply: HostMetrics,
  refusal: couldNotAsk,
});

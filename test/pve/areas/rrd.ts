/** Round-robin data: generated rows with the real keys and steps (pmxcfs/status.c, PVE/RRD.pm). */

import { guestRow } from '../guest-status.ts';
import { nodeUsage } from '../host.ts';
import { type Area, type Call, param } from '../sim.ts';
import { existing } from '../storage-access.ts';
import type { Guest } from '../world.ts';
import { uptime } from './nodes.ts';

/** Step and number of rows by time frame. */
const FRAMES: Record<string, { stepS: number; rows: number }> = {
  hour: { stepS: 60, rows: 60 },
  day: { stepS: 60, rows: 1440 },
  week: { stepS: 1800, rows: 336 },
  month: { stepS: 1800, rows: 1488 },
  year: { stepS: 21_600, rows: 1464 },
  decade: { stepS: 604_800, rows: 574 },
};

/** How far back there are values: rows before the node's start only have their time. */
const rows = (call: Call, values: (time: number) => Record<string, number>): Record<string, number>[] => {
  const { stepS, rows: count } = FRAMES[param(call, 'timeframe')] ?? { stepS: 60, rows: 60 };
  const last = Math.floor(call.now / stepS) * stepS - stepS;
  const since = Math.floor(call.sim.startedAtMs / 1000) - stepS;
  return Array.from({ length: count }, (_, i) => last - (count - 1 - i) * stepS).map((time) => ({
    time,
    ...(time >= since ? values(time) : {}),
  }));
};

const wave = (time: number, base: number): number => base * (1 + 0.2 * Math.sin(time / 900));

const nodeValues = (call: Call) => (time: number) => {
  const usage = nodeUsage(call.world, time, uptime(call));
  return {
    arcsize: 0,
    cpu: usage.cpu,
    iowait: 0.002,
    loadavg: wave(time, 0.2),
    maxcpu: usage.maxcpu,
    memavailable: usage.maxmem - usage.mem,
    memtotal: usage.maxmem,
    memused: usage.mem,
    netin: wave(time, 20_000),
    netout: wave(time, 8_000),
    pressurecpusome: 0.2,
    pressureiofull: 0.1,
    pressureiosome: 0.1,
    pressurememoryfull: 0,
    pressurememorysome: 0,
    roottotal: usage.maxdisk,
    rootused: usage.disk,
    swaptotal: 0,
    swapused: 0,
  };
};

const num = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** A stopped guest has only its limits. */
const guestValues =
  (call: Call, guest: Guest) =>
  (time: number): Record<string, number> => {
    const row = guestRow(call.world, guest, time);
    const limits = { maxcpu: num(row.cpus), maxmem: num(row.maxmem), maxdisk: num(row.maxdisk), disk: num(row.disk) };
    if (guest.status !== 'running') return limits;
    return {
      ...limits,
      cpu: num(row.cpu),
      mem: num(row.mem),
      netin: wave(time, 500),
      netout: wave(time, 300),
      diskread: 0,
      diskwrite: wave(time, 900),
    };
  };

/** Any node serves this data, even of guests it does not have. */
const guest = (call: Call): unknown => {
  const found = call.world.guests.get(Number(param(call, 'vmid')));
  return rows(call, found ? guestValues(call, found) : () => ({}));
};

const storage = (call: Call): unknown => {
  const { total, used } = existing(call, param(call, 'storage'));
  return rows(call, () => ({ total, used }));
};

export const rrd: Area = {
  'GET /nodes/{node}/rrddata': (call) => rows(call, nodeValues(call)),
  'GET /nodes/{node}/lxc/{vmid}/rrddata': guest,
  'GET /nodes/{node}/qemu/{vmid}/rrddata': guest,
  'GET /nodes/{node}/storage/{storage}/rrddata': storage,
};

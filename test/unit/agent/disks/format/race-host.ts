/** A host in memory whose drives are pulled, plugged in anew and changed between any two steps of a format; it keeps count of what is written where. */

import { boundDurableId } from '#agent/disks/durable-id';
import { createAsk } from '#agent/disks/format/ask';
import type { Confirmations } from '#agent/disks/format/confirmations';
import { createFormatting } from '#agent/disks/format/formatting';
import { type Jobs, loadJobs } from '#agent/disks/format/jobs';
import type { Drive } from '#agent/disks/inventory/drive';
import type { Current } from '#agent/disks/known/current';
import { type DriveFormat, DriveFormatError } from '#agent/ports/drive-format';
import { createTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { FormatDisk, Formatted } from '#shared/wire/disks';
import { madeDrive, madeFilesystem, madeInventory, madeRecord } from '../made.ts';

/** A thing of metal. */
export interface Physical {
  id: number;
  serial: string;
  /** Stands for all that is on it. */
  label: string;
  isHosts: boolean;
  isBlank: boolean;
}

/** Small whole numbers, the same ones for the same seed. */
export const randomly = (seed: number) => {
  let state = seed * 2_654_435_761;
  return (below: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_507) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
};

/** A short sleep is over at once, and no deadline ever passes. */
const clock: Clock = {
  now: () => 1_700_000_000_000,
  monotonic: () => 1000,
  after: (ms, call) => {
    if (ms <= 1_000) queueMicrotask(call);
    return () => undefined;
  },
};

export const raceHost = async (random: (below: number) => number) => {
  const drives: Physical[] = [1, 2, 3].map((id) => ({
    id,
    // Two of them have one serial, as some docks give it.
    serial: id === 3 ? 'S1' : `S${id}`,
    label: `label-${id}`,
    isHosts: false,
    isBlank: false,
  }));
  /** What is plugged in where, and as which plugging in. */
  const slots = new Map<string, { physical: Physical; diskseq: number }>();
  let lastSeq = 0;
  let held: Physical | null = null;
  /** Nothing happens while this is off. */
  let isRestless = false;
  /** What was on it when it was written. */
  const written: { id: number; label: string; isHosts: boolean; isBlank: boolean }[] = [];

  const plug = (name: string, physical: Physical): void => {
    lastSeq += 1;
    slots.set(name, { physical, diskseq: lastSeq });
  };
  const free = () => drives.filter((one) => ![...slots.values()].some(({ physical }) => physical === one));
  const names = ['sdb', 'sdc'];

  /** Whoever has a drive open keeps its name from another: it can only be pulled out. */
  const pull = (name: string): void => {
    slots.delete(name);
  };

  const HAPPENINGS = [
    () => undefined,
    () => undefined,
    () => undefined,
    () => undefined,
    /** Pulled out. */
    () => pull(names[random(2)] ?? ''),
    /** Two change places. */
    () => {
      const [one, other] = names.map((name) => slots.get(name)?.physical);
      if (held !== null || one === undefined || other === undefined) return;
      plug('sdb', other);
      plug('sdc', one);
    },
    /** The third one comes to a name. */
    () => {
      const name = names[random(2)] ?? '';
      const [next] = free();
      if (next === undefined || (held !== null && slots.get(name)?.physical === held)) return;
      plug(name, next);
    },
    /** The same one again. */
    () => {
      const name = names[random(2)] ?? '';
      const there = slots.get(name)?.physical;
      if (there !== undefined && there !== held) plug(name, there);
    },
    /** Something else is on it; whoever has locked it is alone. */
    () => {
      const one = drives[random(3)];
      if (one !== undefined && one !== held) one.label = `${one.label}'`;
    },
    () => {
      const one = drives[random(3)];
      if (one !== undefined && one !== held) one.isHosts = !one.isHosts;
    },
  ];
  const between = async (): Promise<void> => {
    await Promise.resolve();
    if (isRestless) HAPPENINGS[random(HAPPENINGS.length)]?.();
  };

  const driveOf = (name: string, { physical, diskseq }: { physical: Physical; diskseq: number }): Drive => {
    const part = { name: `${name}1`, numbers: `8:${name === 'sdb' ? 17 : 33}`, sizeBytes: 1, startBytes: 1, holders: [] };
    return madeDrive({
      name,
      device: { name, numbers: `8:${name === 'sdb' ? 16 : 32}`, diskseq, partitions: physical.isBlank ? [] : [part] },
      identity: { serial: physical.serial, keys: [`serial:${physical.id}`] },
      filesystems: physical.isBlank
        ? []
        : [madeFilesystem({ device: part.name, label: physical.label, uuid: `uuid-${physical.id}` })],
      role: physical.isHosts ? 'system' : 'user-data',
      dataBearing: !physical.isBlank,
      record: madeRecord({ id: physical.id, serial: physical.serial }),
    });
  };
  const inventory = () => madeInventory({ drives: [...slots].map(([name, slot]) => driveOf(name, slot)) });

  const current: Pick<Current, 'fresh' | 'inventory' | 'changed'> = {
    inventory: async () => ({ inventory: inventory(), ageMs: 0 }),
    fresh: async () => {
      await between();
      const seen = inventory();
      await between();
      return seen;
    },
    changed: () => undefined,
  };

  const jobs: Jobs = await loadJobs({
    clock,
    store: {
      all: async () => [],
      write: async () => {
        await between();
        return [];
      },
    },
  });

  const driveFormat: DriveFormat = {
    hold: async ({ device, diskseq, jobId }) => {
      await between();
      // It is opened, and then asked for its numbers: what it has is what it will write to.
      const slot = slots.get(device.slice('/dev/'.length));
      if (slot === undefined) throw new DriveFormatError(device, 'io', 'gone');
      held = slot.physical;
      if (slot.diskseq !== diskseq) {
        held = null;
        throw new DriveFormatError(device, 'changed', 'another');
      }
      const { physical } = slot;
      await between();
      return {
        pid: 1,
        go: async () => {
          await between();
          const isThere = [...slots.values()].some((one) => one.physical === physical && one.diskseq === diskseq);
          if (!isThere) throw new DriveFormatError(device, 'io', 'pulled out');
          const { id, label, isHosts, isBlank } = physical;
          written.push({ id, label, isHosts, isBlank });
          Object.assign(physical, { label: `new-${jobId}`, isBlank: false });
          held = null;
          void jobs.end(jobId, { state: 'done', phase: 'ended', uuid: `uuid-${id}`, error: '' }, async () => []);
        },
        letGo: async () => {
          await between();
          held = null;
        },
      };
    },
    state: async () => null,
    forget: async () => undefined,
    missing: async () => '',
    minBytes: () => 1,
  };

  const given = new Map<string, { nonce: Buffer; used: boolean }>();
  const confirmations: Confirmations = {
    ask: async (drive, { vmid, fstype }) => {
      await between();
      const nonce = Buffer.from(`nonce-${given.size}`);
      const id = boundDurableId(drive, { op: 'format', fstype, vmid, nonce });
      given.set(id, { nonce, used: false });
      return id;
    },
    holds: async (id, drive, { vmid, fstype }) => {
      const row = given.get(id);
      await between();
      return row !== undefined && !row.used && boundDurableId(drive, { op: 'format', fstype, vmid, nonce: row.nonce }) === id;
    },
    use: (id) => {
      const row = given.get(id);
      if (row !== undefined) row.used = true;
      return { sql: '' };
    },
  };

  const formatting = createFormatting({
    ...{ clock, current, jobs, driveFormat, bootId: 'boot', inTurn: createTurn() },
    journal: () => undefined,
    store: { write: async () => [] },
    inUse: {
      holders: async () => {
        await between();
        return [];
      },
    },
    mappedRoot: async () => ({ uid: 0, gid: 0 }),
    writesOff: () => '',
  });

  const format: (vmid: number, body: FormatDisk) => Promise<Formatted> = createAsk({
    ...{ clock, current, confirmations, formatting, driveFormat, hostScope: 'host' },
    records: { assignments: () => [] },
    settings: () => ({ filesystems: ['ext4'] }),
    claims: () => ({ guests: [101], enrolled: [101], instances: new Map([[101, 'a']]) }),
    writesOff: () => '',
    openOp: async () => {
      throw new FelhomError('grants-off', 'There are no operators here. Nothing was erased.');
    },
  });

  return {
    drives,
    written,
    plug,
    at: (name: string): Physical | undefined => slots.get(name)?.physical,
    format,
    restless: async <T>(act: () => Promise<T>): Promise<T> => {
      isRestless = true;
      return act().finally(() => {
        isRestless = false;
      });
    },
  };
};

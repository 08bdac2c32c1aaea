/** What stands for the program that formats, over drives that there are not: nothing is ever written, and a test says how it goes. */
import { readFileSync } from 'node:fs';
import type { FormatFailure, FormatOrder, FormatState, Phase } from '#agent/drive-format/protocol';
import { type DriveFormat, DriveFormatError } from '#agent/ports/drive-format';
import type { DriveSpec, HostSpec } from '../unit/agent/disks/host.ts';

type Order = Omit<FormatOrder, 'stateFile'>;

export interface FakeProgram {
  driveFormat: DriveFormat;
  /** Drives that were really written, in order: `sdb ext4`. */
  written: string[];
  /** Orders that it was given. */
  orders: Order[];
  /** Instead of holding. */
  failHold: FormatFailure | null;
  /** Called while the drive is held. */
  onHold: () => void;
  /** Whether it comes to its end at once. */
  waits: boolean;
  phase(jobId: string, phase: Phase): void;
  end(jobId: string): void;
  fail(jobId: string, code: FormatFailure): void;
  /** As after kill -9, or a power cut. */
  die(jobId: string): void;
  jobs(): string[];
  /** As at first. */
  reset(): void;
}

export const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** A drive as it is after a format. */
export const formatted = (drive: DriveSpec, fstype: string, uuid: string): DriveSpec => ({
  ...drive,
  ...({ on: undefined, table: undefined, declared: undefined, clean: undefined } as unknown as object),
  tableUuid: `t-${uuid}`,
  parts: [{ uuid: `p-${uuid}`, on: [{ type: fstype, uuid }] }],
});

export const newUuid = (count: number): string => `7f3c1e7f-0b2d-4c4e-8f60-${String(count).padStart(12, '0')}`;

/** @param change of the host on which the drives are */
export const fakeProgram = (change: (act: (host: HostSpec) => HostSpec) => void): FakeProgram => {
  let made = 0;
  const states = new Map<string, { state: FormatState; alive: boolean; order: Order }>();

  const set = (jobId: string, facts: Partial<FormatState>, alive: boolean): void => {
    const known = states.get(jobId);
    if (known !== undefined) states.set(jobId, { ...known, state: { ...known.state, ...facts }, alive });
  };

  const end = (jobId: string): void => {
    const { order } = states.get(jobId) ?? {};
    if (order === undefined) return;
    const name = order.device.slice('/dev/'.length);
    made += 1;
    const uuid = newUuid(made);
    change((host) => ({
      ...host,
      drives: host.drives.map((drive) => (drive.name === name ? formatted(drive, order.fstype, uuid) : drive)),
    }));
    set(jobId, { phase: 'ended', outcome: { ok: true, uuid, partition: `${order.device}1` } }, false);
  };

  const program: FakeProgram = {
    written: [],
    orders: [],
    failHold: null,
    onHold: () => undefined,
    waits: false,
    phase: (jobId, phase) => set(jobId, { phase }, true),
    end,
    fail: (jobId, code) => set(jobId, { phase: 'ended', outcome: { ok: false, code, why: 'secret words' } }, false),
    die: (jobId) => set(jobId, {}, false),
    jobs: () => [...states.keys()],
    reset: () => {
      states.clear();
      Object.assign(program, { written: [], orders: [], failHold: null, onHold: () => undefined, waits: false });
    },
    driveFormat: {
      hold: async (order) => {
        program.orders.push(order);
        if (program.failHold !== null) throw new DriveFormatError(order.device, program.failHold, 'secret words');
        const { jobId } = order;
        const state: FormatState = { jobId, pid: 4242, startTime: '1', bootId: BOOT, phase: 'holding', outcome: null };
        states.set(jobId, { state, alive: true, order });
        program.onHold();
        return {
          pid: 4242,
          go: async () => {
            program.written.push(`${order.device.slice(5)} ${order.fstype}`);
            set(jobId, { phase: 'making' }, true);
            if (!program.waits) end(jobId);
          },
          letGo: async () => void states.delete(jobId),
        };
      },
      state: async (jobId) => states.get(jobId) ?? null,
      forget: async (jobId) => void states.delete(jobId),
      missing: async (fstype) => (fstype === 'xfs' ? 'mkfs.xfs is not installed (package xfsprogs).' : ''),
      minBytes: (fstype) => (fstype === 'btrfs' ? 200 * 1_000_000_000 : 20_000_000),
    },
  };
  return program;
};

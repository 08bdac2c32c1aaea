/** Whether one more archive fits: retention runs after the backup, so there must be room for both. Pure. */

import type { Space } from '#agent/ports/filesystem';
import { guestVolumes } from '#agent/storage/volumes';
import type { Facts, Target } from './facts.ts';
import { percent, size } from './figures.ts';
import { whereKnown } from './known.ts';
import { figuresOf } from './target.ts';
import type { Check, Finding } from './verdict.ts';

/** The next archive may be larger than the largest so far. */
const GROWTH = 1.2;
/** What is left of a guest's data in an archive, where there is none to compare. */
const COMPRESSED = 0.7;
const RESERVE = { fraction: 0.05, bytes: 5 * 1024 ** 3 };
/** A Proxmox Backup Server stores only what is new, so its room is not counted by archives. */
const PBS_LEAST = 0.05;

const FACTOR: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** `size=32G`. pve-common JSONSchema.pm, parse_size. */
const sizeIn = (properties: string): number => {
  const [, number, unit = ''] = /(?:^|,)size=(\d+(?:\.\d+)?)([KMGT]?)(?:,|$)/.exec(properties) ?? [];
  return number === undefined ? 0 : Number(number) * (FACTOR[unit] ?? 1);
};

/** What the guest holds at most; 0 where nothing is known. pvestatd calls a stopped container's disk empty. */
const guestBytes = ({ guest, config }: Facts): number =>
  guest.type === 'lxc'
    ? (guest.usedBytes ?? 0)
    : guestVolumes('qemu', config)
        .filter(({ backup }) => backup)
        .reduce((sum, { key }) => sum + sizeIn(config[key] ?? ''), 0);

interface Need {
  bytes: number;
  /** What it is computed from. */
  basis: string;
}

export const archiveNeed = (facts: Facts): Need => {
  const largest = Math.max(0, ...(whereKnown(facts.recentSizes) ?? []));
  if (largest > 0) return { bytes: largest * GROWTH, basis: `the largest of the last archives is ${size(largest)}` };
  const held = guestBytes(facts);
  if (held > 0) return { bytes: held * COMPRESSED, basis: `the guest holds up to ${size(held)} and has no archive yet` };
  return { bytes: 0, basis: "the guest's size is not known" };
};

/** pvestatd's figures, for a storage that has no directory here. */
const reportedSpace = (target: Target): Omit<Space, 'device'> | null => {
  const { maxdisk, disk } = figuresOf(target) ?? { maxdisk: null, disk: null };
  return maxdisk === null || disk === null || maxdisk <= 0
    ? null
    : { totalBytes: maxdisk, availBytes: Math.max(0, maxdisk - disk) };
};

const full = (name: string, evidence: string): Finding => ({
  sentence: 'The storage that backups should go to has no room for another one.',
  evidence: `storage ${name}: ${evidence}`,
  nextStep: 'Make room on it, keep fewer archives (backup.retention in agent.yaml), or use a larger storage.',
});

/** `target-inactive` of a storage that tells no figures at all. */
const UNKNOWN: Check<Facts> = {
  code: 'target-inactive',
  find: ({ target }) =>
    target.space !== null || reportedSpace(target) !== null
      ? null
      : {
          sentence: 'How much room the storage for backups has is not known, so no backup can start.',
          evidence: `storage ${target.name}: Proxmox tells no figures`,
          nextStep: `Find out why: pvesm status --storage ${target.name}`,
        },
};

const FULL: Check<Facts> = {
  code: 'target-full',
  find: (facts) => {
    const { target } = facts;
    const space = whereKnown(target.space) ?? reportedSpace(target);
    if (space === null) return null;
    const { totalBytes, availBytes } = space;
    if (target.config?.type === 'pbs') {
      const free = availBytes / totalBytes;
      return free > PBS_LEAST ? null : full(target.name, `${percent(free)} free, more than ${percent(PBS_LEAST)} needed`);
    }
    const reserve = Math.min(totalBytes * RESERVE.fraction, RESERVE.bytes);
    const { bytes, basis } = archiveNeed(facts);
    if (availBytes >= bytes + reserve) return null;
    return full(target.name, `${size(availBytes)} free, ${size(bytes + reserve)} needed (${basis}; ${size(reserve)} stay free)`);
  },
};

export const ROOM_CHECKS: readonly Check<Facts>[] = [UNKNOWN, FULL];

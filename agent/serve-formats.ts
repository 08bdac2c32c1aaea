/** The part of the composition that formats drives: requests of guests, what permits them, and how each format ends. */
import type { Clock } from '#shared/clock';
import type { FormatDisk, Formatted } from '#shared/wire/disks';
import type { AgentConfig } from './config.ts';
import type { InUse } from './disks/deeds/in-use.ts';
import { createAsk } from './disks/format/ask.ts';
import { createConfirmations } from './disks/format/confirmations.ts';
import { createFollow } from './disks/format/follow.ts';
import type { Formatting } from './disks/format/format.ts';
import { createFormats, type Formats } from './disks/format/formats.ts';
import { createFormatting } from './disks/format/formatting.ts';
import type { Jobs } from './disks/format/jobs.ts';
import type { GuestDirectories } from './disks/in-guest/in-guest.ts';
import type { Current } from './disks/known/current.ts';
import type { Claims } from './disks/known/ownership.ts';
import type { Records } from './disks/known/records.ts';
import type { Problems } from './health/problems.ts';
import type { Ops } from './ops/op.ts';
import type { BootTime } from './ports/boot-time.ts';
import type { DriveFormat } from './ports/drive-format.ts';
import type { Journal } from './ports/journal.ts';
import type { Store } from './ports/store.ts';
import type { InTurn } from './turn.ts';

export interface FormatParts {
  store: Store;
  clock: Clock;
  journal: Journal;
  problems: Problems;
  boot: BootTime;
  hostScope: string;
  current: Current;
  records: Records;
  jobs: Jobs;
  inUse: InUse;
  driveFormat: DriveFormat;
  /** The same for all deeds. */
  inTurn: InTurn;
  directories: Pick<GuestDirectories, 'mappedRoot'>;
  settings: () => AgentConfig['disks'];
  claims: () => Claims;
  writesOff: () => string;
  openOp: Ops['open'];
}

export interface ComposedFormats {
  format: (vmid: number, body: FormatDisk) => Promise<Formatted>;
  formats: Formats;
  formatting: Formatting;
  /** Follows what was begun, also by an agent before this one. */
  begin: () => void;
  /** What is being erased goes on. */
  close: () => Promise<void>;
}

export const composeFormats = (parts: FormatParts): ComposedFormats => {
  const { boot, directories } = parts;
  const formatting = createFormatting({ ...parts, bootId: boot.bootId, mappedRoot: directories.mappedRoot });
  const follow = createFollow({ ...parts, isStarting: formatting.isStarting });
  return {
    format: createAsk({ ...parts, confirmations: createConfirmations(parts), formatting }),
    formats: createFormats(parts),
    formatting,
    begin: follow.begin,
    close: async () => {
      await Promise.all([follow.close(), formatting.close()]);
    },
  };
};

/** Drives that are being formatted, and drives whose format did not come to its end: what the inventory makes of them. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { DriveRecord, Identity, Role } from './drive.ts';
import { isHardwareKey } from './identity.ts';

export interface FormatMark {
  /** `running`: now. `broken`: it ended before its end; what is on the drive is neither what was there nor what was to come. */
  state: 'running' | 'broken';
  /** Of the record that the drive had when it began, and has until it is done. */
  drive: number;
  /** Which plugging in, of which start of the host. */
  bootId: string;
  device: string;
  diskseq: number;
  /** As they were before, for a drive without anything of its hardware's own. */
  identity: Pick<Identity, 'model' | 'serial' | 'sizeBytes' | 'busPath'>;
  role: Role;
  /** For people, also for guests: what is going on, or what became of it. */
  sentence: string;
}

type Subject = { device: KernelDevice; identity: Identity };

/** The plugging in that it was begun in. */
export const isSamePlugging = (mark: FormatMark, { name, diskseq }: KernelDevice, bootId: string): boolean =>
  mark.bootId === bootId && mark.device === name && mark.diskseq === diskseq;

/** A drive that nothing but its content named, and that content is gone: the same place and size will do, to be careful with it. */
const isAlike = ({ identity: before }: FormatMark, { identity }: Subject): boolean =>
  !identity.keys.some(isHardwareKey) &&
  before.model === identity.model &&
  before.serial === identity.serial &&
  before.sizeBytes === identity.sizeBytes &&
  before.busPath === identity.busPath;

/** What is on it was seen on another drive: it is that one, in the same dock. */
const isAnother = ({ drive }: FormatMark, { identity: { keys } }: Subject, records: readonly DriveRecord[]): boolean =>
  records.some((record) => record.id !== drive && record.keys.some((key) => keys.includes(key)));

export interface MarkContext {
  marks: readonly FormatMark[];
  bootId: string;
  records: readonly DriveRecord[];
}

/** The mark of a drive that its hardware may not tell. */
export const markByPlace = ({ marks, bootId, records }: MarkContext, subject: Subject): FormatMark | undefined =>
  marks.find((mark) => isSamePlugging(mark, subject.device, bootId)) ??
  marks.find((mark) => isAlike(mark, subject) && !isAnother(mark, subject, records));

export const markOf = (context: MarkContext, subject: Subject, record: DriveRecord | null): FormatMark | undefined =>
  markByPlace(context, subject) ?? context.marks.find((mark) => mark.drive === record?.id);

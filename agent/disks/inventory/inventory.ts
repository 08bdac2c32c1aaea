/** Every drive with its role and why, from what the sources told. Pure: the same evidence gives the same inventory. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Assignment } from './assignment.ts';
import { type Atlas, atlasOf } from './atlas.ts';
import { type BlankState, dataOf } from './data.ts';
import { doubtsOf, looked } from './doubts.ts';
import type { Drive, DriveRecord, Holder, Inventory } from './drive.ts';
import type { Evidence } from './evidence.ts';
import { addFound, type Findings, type Found } from './found.ts';
import { givenIn } from './given.ts';
import { type Heard, heardFrom, probeOf } from './heard.ts';
import { filesystemsOf, identityOf, keyOf, mdId, namedBy, type Sources } from './identity.ts';
import { type FormatMark, isSamePlugging, type MarkContext, markByPlace, markOf } from './marks.ts';
import { protectedBy, unmatched } from './protect.ts';
import { type Present, type Recall, recallOf, rememberedBy } from './recall.ts';
import { ordered, roleOf } from './role.ts';
import { concluded, type Member, twinsOf } from './sets.ts';
import { usesOf } from './uses.ts';

export interface InventoryContext {
  records: readonly DriveRecord[];
  assignments: readonly Assignment[];
  /** `disks.protect` */
  protect: readonly string[];
  /** `disks.loop_drives` */
  loopDrives: readonly string[];
  mountRoot: string;
  /** By kernel name. */
  blank: ReadonlyMap<string, BlankState>;
  /** Formats under way, and those that did not come to their end. */
  formats?: { bootId: string; marks: readonly FormatMark[] };
}

/** Sets that LVM, ZFS and md say a drive belongs to, as keys. */
const setKeys = (heard: Heard, atlas: Atlas, drive: string): string[] => {
  const isOn = (names: readonly string[]): boolean => atlas.drivesBehind(names).has(drive);
  return [
    ...heard.lvm
      .filter(({ device }) => isOn(atlas.named(device)))
      .flatMap(({ uuid, groupUuid }) => [...keyOf('pv', uuid), ...keyOf('vg', groupUuid)]),
    ...heard.zfs.filter(({ devices }) => isOn(devices.flatMap(atlas.named))).flatMap(({ guid }) => keyOf('pool', guid)),
    ...heard.kernel.flatMap(({ md }) => (md !== null && isOn(md.members) ? keyOf('md', mdId(md.uuid)) : [])),
  ];
};

interface Subject extends Member {
  sources: Sources;
  twins: readonly string[];
  recall: Recall;
  holders: readonly Holder[];
  mark: FormatMark | undefined;
}

const NO_RECALL: Recall = { record: null, related: [] };

const isInGuestsHands = (given: readonly Found[], uses: readonly Found[]): boolean =>
  given.length > 0 && !uses.some(({ origin }) => origin === 'use');

const at = <T>(map: ReadonlyMap<string, readonly T[]>, name: string): readonly T[] => map.get(name) ?? [];

const NO_FORMATS: NonNullable<InventoryContext['formats']> = { bootId: '', marks: [] };

const markContext = ({ records, formats = NO_FORMATS }: InventoryContext): MarkContext => ({ ...formats, records });

/** The drives with what is known of each by itself. */
const subjectsOf = (heard: Heard, atlas: Atlas, context: InventoryContext): Subject[] => {
  const uses = usesOf(heard, atlas, context);
  const given = givenIn(heard, atlas, context.mountRoot);
  const bare: Member[] = atlas.drives.map((device) => {
    const sources = { device, udev: heard.udev, probe: probeOf(heard, device.name) };
    const identity = identityOf(sources, setKeys(heard, atlas, device.name));
    return { device, identity, keys: identity.keys, found: [] };
  });
  const twins = twinsOf(bare);
  const marked = markContext(context);
  const knownBy = (member: Member) => {
    const mark = markByPlace(marked, member);
    return mark === undefined ? {} : { known: mark.drive };
  };
  const present = bare.map((member): Present => {
    const { name } = member.device;
    return {
      name,
      ...knownBy(member),
      keys: member.keys,
      twins: at(twins, name),
      isRead: probeOf(heard, name) !== null,
      inGuestsHands: isInGuestsHands(at(given.reasons, name), at(uses.reasons, name)),
    };
  });
  const recalls = recallOf(present, context.records);
  return bare.map((member) => subjectOf({ heard, context, uses, given, twins, recalls }, member));
};

interface Parts {
  heard: Heard;
  context: InventoryContext;
  uses: Findings;
  given: Findings;
  twins: ReadonlyMap<string, readonly string[]>;
  recalls: ReadonlyMap<string, Recall>;
}

const subjectOf = (parts: Parts, member: Member): Subject => {
  const { heard, context, uses, given } = parts;
  const { device } = member;
  const { name } = device;
  const sources: Sources = { device, udev: heard.udev, probe: probeOf(heard, name) };
  const recall = parts.recalls.get(name) ?? NO_RECALL;
  const marked = markContext(context);
  const mark = markOf(marked, member, recall.record);
  // Nobody can have put anything else on it since: in another place, or after a start of the host, somebody may have.
  const isDebris = mark?.role === 'user-data' && isSamePlugging(mark, device, marked.bootId);
  return {
    ...member,
    sources,
    recall,
    mark,
    twins: at(parts.twins, name),
    keys: [...member.keys, ...(sources.probe === null ? (recall.record?.keys ?? []) : [])],
    holders: [...at(uses.holders, name), ...at(given.holders, name)],
    found: [
      ...at(uses.reasons, name),
      ...at(given.reasons, name),
      ...protectedBy(context.protect, namedBy(sources)),
      ...(isDebris ? [] : looked(heard, device, recall.record)),
      ...rememberedBy(recall),
      ...doubtsOf(heard, device, isDebris),
    ].reduce<readonly Found[]>(addFound, []),
  };
};

const holdersOf = (subject: Subject, all: ReadonlyMap<string, Subject>): Holder[] =>
  [subject, ...subject.twins.flatMap((name) => all.get(name) ?? [])]
    .flatMap(({ holders }) => holders)
    .filter((one, index, every) => every.findIndex(({ sentence }) => sentence === one.sentence) === index);

const stateOf = (heard: Heard, { name }: KernelDevice, holders: readonly Holder[]): Drive['state'] => {
  if (heard.notAnswering.has(name)) return 'not-answering';
  if (holders.some(({ kind, vmid }) => kind === 'mount' && vmid !== null)) return 'mounted';
  if (holders.length > 0) return 'in-use';
  return heard.asleep.has(name) ? 'asleep' : 'available';
};

/** What its sources say of a drive while it is being formatted is what passes; of one that was not finished, what is left over. */
const formatOf = ({ mark }: Subject): Partial<Drive> => {
  if (mark === undefined) return {};
  const { state, role, sentence } = mark;
  const said = { dataBearing: true, dataReason: sentence, format: { state, sentence } };
  if (state === 'broken') return said;
  const holder: Holder = { kind: 'process', sentence, vmid: null, pid: null };
  return { ...said, role, reasons: [{ role, sentence, lasting: false }], holders: [holder], state: 'in-use' };
};

const driveOf = (heard: Heard, context: InventoryContext, subject: Subject, all: ReadonlyMap<string, Subject>): Drive => {
  const { device, sources, twins, recall, identity } = subject;
  const reasons = ordered(subject.found);
  const holders = holdersOf(subject, all);
  const data = [device.name, ...twins].map((name) => {
    const one = all.get(name)?.device ?? device;
    return dataOf(one, heard.probes.get(name), context.blank.get(name));
  });
  return {
    name: device.name,
    device,
    identity,
    filesystems: filesystemsOf(sources),
    role: roleOf(reasons),
    reasons,
    ...(data.find(({ dataBearing }) => dataBearing) ?? data[0] ?? dataOf(device, undefined, undefined)),
    holders,
    twins,
    record: recall.record,
    related: recall.related,
    state: stateOf(heard, device, holders),
    ...formatOf(subject),
  };
};

const byName = (a: { device: KernelDevice }, b: { device: KernelDevice }): number =>
  a.device.name.localeCompare(b.device.name, 'en', { numeric: true });

/** Records that are neither of a drive that is plugged in, nor, as far as hardware can tell, of its twin. */
const unpluggedIn = (drives: readonly Drive[], records: readonly DriveRecord[]): DriveRecord[] =>
  records.filter((record) => !drives.some((drive) => drive.record?.id === record.id));

export const inventoryOf = (evidence: Evidence, context: InventoryContext): Inventory => {
  const heard = heardFrom(evidence);
  const atlas = atlasOf(heard, context);
  const alone = subjectsOf(heard, atlas, context);
  const found = concluded(alone);
  const subjects = alone.map((subject, index) => ({ ...subject, found: found[index] ?? subject.found }));
  const all = new Map(subjects.map((subject) => [subject.device.name, subject]));
  const drives = subjects.toSorted(byName).map((subject) => driveOf(heard, context, subject, all));
  return {
    drives,
    // While the kernel does not tell which drives there are, none is said to be unplugged.
    unplugged: evidence.kernel.known ? unpluggedIn(drives, context.records) : [],
    missing: heard.missing,
    unmatchedProtect: evidence.kernel.known
      ? unmatched(
          context.protect,
          alone.map(({ sources }) => namedBy(sources)),
          context.records,
        )
      : [],
  };
};

/** What keeps it from being certain that a drive is nobody's but a customer's, as far as the drive itself can tell. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { DriveRecord } from './drive.ts';
import type { Probe, Signature } from './evidence.ts';
import type { Found } from './found.ts';
import type { Heard } from './heard.ts';
import { namesOf, partitionsOf, takenKey } from './identity.ts';
import { isBootSector, kindOf, refusedKind, setOfPartitionType, signatureName } from './kinds.ts';
import { plain } from './plain.ts';

const unknown = (sentence: string): Found => ({ role: 'system', sentence, lasting: false, origin: 'unknown' });
/** `why` is a program's word, or names files: for the operator only. */
const unknownFor = (sentence: string, why: string): Found => ({
  ...unknown(`${sentence.slice(0, -1)}: ${plain(why, 200)}`),
  forGuests: sentence,
});
const passing = (found: Found): Found => ({ ...found, passing: true });
const kind = (sentence: string): Found => ({ role: 'system', sentence, lasting: false, origin: 'kind' });

/** Tables proper: not the boot sector of a file system that looks like one. */
const tablesOn = (signatures: readonly Signature[]): Signature[] =>
  signatures.filter(({ type, device }) => {
    const others = signatures.filter((one) => one.device === device).map((one) => one.type);
    return kindOf(type) === 'table' && !isBootSector(type, others);
  });

/** Only a GPT says by its checksums that it is one: an empty DOS table could be the boot sector of anything. */
const isEmptyTable = (types: readonly string[], { declared }: Probe): boolean => declared === 0 && types.includes('gpt');

const ofTable = ({ name, partitions }: KernelDevice, probe: Probe): Found[] => {
  const types = tablesOn(probe.signatures.filter(({ device }) => device === name)).map(({ type }) => type);
  const isTable = types.includes('gpt') || types.includes('dos');
  if (!isTable && types.includes('PMBR'))
    return [unknown('Its partition table cannot be read; it may have been written in an enclosure that counts in other blocks.')];
  if (!isTable) return partitions.length === 0 ? [] : [unknown('It has partitions, but no partition table was found.')];
  if (probe.declared === null) return [unknown('Its partition table cannot be read.')];
  if (probe.declared > partitions.length) return [unknown('It has partitions that the host does not see.')];
  if (partitions.length === 0 && !isEmptyTable(types, probe))
    return [unknown('It has a partition table without partitions, or something that looks like one.')];
  return [];
};

const ofSignatures = (heard: Heard, device: KernelDevice, probe: Probe): Found[] => {
  const named = ({ type, device: where }: Signature): string => `${plain(signatureName(type), 60)} (${where})`;
  const of = (wanted: string) => probe.signatures.filter(({ type }) => kindOf(type) === wanted);
  const empty = partitionsOf({ device, udev: heard.udev, probe }).filter(
    (part) => !probe.signatures.some((one) => one.device === part.device),
  );
  return [
    ...of('set').map((one) => kind(`It carries a part of ${named(one)}, so it belongs to the host and not to one guest.`)),
    ...of('unknown').map((one) => unknown(`It carries ${named(one)}, and what that is for cannot be determined.`)),
    ...empty
      .filter(({ type }) => setOfPartitionType(type) !== '')
      .map((part) =>
        unknown(`Its partition ${part.device} was made for ${setOfPartitionType(part.type)}, but nothing of it can be read.`),
      ),
    ...probe.ambivalent.map((where) => unknown(`On ${where} several things were found that exclude each other.`)),
  ];
};

const ofProbe = (heard: Heard, device: KernelDevice): Found[] => {
  const { name } = device;
  const probe = heard.probes.get(name);
  if (probe === undefined)
    return [passing(unknown(heard.asleep.has(name) ? 'It is asleep and was not looked at.' : 'It has not been looked at yet.'))];
  if (!probe.known) return [passing(unknownFor('It could not be looked at.', probe.why))];
  const { value } = probe;
  const nothing = value.signatures.length === 0 && device.partitions.length === 0;
  return [
    ...(nothing && !value.clean ? [unknown('What is on it could not be told.')] : []),
    ...ofTable(device, value),
    ...ofSignatures(heard, device, value),
  ];
};

const unlooked = (found: Found): Found => ({ ...found, origin: 'unlooked' });

/** By the owner of the drive: an owner alone tells nothing, for enclosures have one name for whatever drive is in them. */
const isTaken = (record: DriveRecord | null, { uuid }: Signature): boolean =>
  record !== null && record.owner !== null && takenKey(uuid).some((key) => record.keys.includes(key));

/** What a look into its file systems brought. Whoever has one of them for its own may keep on it what a backup drive has. */
export const looked = (heard: Heard, { name }: KernelDevice, record: DriveRecord | null): Found[] => {
  const probe = heard.probes.get(name);
  if (!probe?.known) return [];
  const carriers = new Set(
    probe.value.signatures
      .filter((one) => kindOf(one.type) === 'filesystem' && !isTaken(record, one))
      .map(({ device }) => device),
  );
  return [...carriers].flatMap((device): Found[] => {
    const look = heard.looks.get(device);
    if (look === undefined) return [passing(unlooked(unknown(`Nobody has looked into the file system on ${device} yet.`)))];
    if (!look.known) return [passing(unlooked(unknownFor(`The file system on ${device} could not be looked into.`, look.why)))];
    if (look.value.found === 'nothing') return [];
    const what = look.value.found === 'vzdump' ? "backups of Proxmox's" : "the chunks of a Proxmox Backup Server's datastore";
    return [{ role: 'backup', sentence: `There are ${what} on it (${device}).`, lasting: true, origin: 'seen' }];
  });
};

/** @param isDebris what is on it is only what a format left that ended before its end */
export const doubtsOf = (heard: Heard, device: KernelDevice, isDebris = false): Found[] => {
  const { name, sizeBytes } = device;
  const refused = refusedKind(device);
  const unfinished = namesOf(device).filter((one) => !heard.udev.has(one));
  return [
    ...heard.missing.map(({ source, why }) => ({
      ...unknown(`It cannot be determined what it is for. ${why}`),
      forGuests: `It cannot be determined what it is for: there is no whole answer from ${source}.`,
    })),
    ...(refused === '' ? [] : [kind(refused)]),
    ...(heard.notAnswering.has(name) ? [passing(unknown('It does not answer.'))] : []),
    ...(sizeBytes !== null && sizeBytes > 0 ? [] : [unknown('It does not tell its size.')]),
    ...(unfinished.length === 0
      ? []
      : [passing(unknown(`The host is still finding out what it is (udev: ${unfinished.join(', ')}).`))]),
    ...(isDebris ? [] : ofProbe(heard, device)),
  ];
};

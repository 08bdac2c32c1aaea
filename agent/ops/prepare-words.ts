/** What root is told when a drive is taken out of use, put back, or cannot be. Pure. */
import { FelhomError } from '#shared/errors';
import type { Drive } from '../disks/inventory/drive.ts';
import { plain } from '../disks/inventory/plain.ts';
import type { Line, LyingOn } from './lying-on.ts';
import type { Op, Prepared } from './op.ts';

const quoted = (text: string): string => `"${plain(text, 100)}"`;
const path = (text: string): string => plain(text, 200);

export const sentenceOf = (done: Prepared): string => {
  switch (done.kind) {
    case 'storage-disabled':
      return `The Proxmox storage ${quoted(done.storage)} is disabled.`;
    case 'job-disabled':
      return `Proxmox's backup job ${quoted(done.job)} is disabled.`;
    case 'unmounted':
      return `${path(done.point)} is unmounted.`;
  }
};

/** How root would put it back by hand. */
export const byHand = (done: Prepared): string => {
  switch (done.kind) {
    case 'storage-disabled':
      return `pvesm set ${plain(done.storage)} --disable 0`;
    case 'job-disabled':
      return `pvesh set /cluster/backup/${plain(done.job)} --enabled 1`;
    case 'unmounted':
      return `mount ${path(done.source)} ${path(done.point)}`;
  }
};

const lineSentence = ({ kind, where, what, point }: Line): string => {
  const does = point === '' ? 'uses it as swap space' : `mounts it at ${path(point)}`;
  if (kind === 'fstab')
    return `A line of /etc/fstab ${does} again at the next boot. Take it out: ${path(what)} ${path(point) || 'none'} …`;
  if (kind === 'crypttab')
    return `A line of /etc/crypttab unlocks it again at the next boot. Take it out: ${path(where)} ${path(what)} …`;
  return (
    `The unit ${path(where)} ${does} again. Take it out: systemctl disable --now ${path(where)}, delete its file, ` +
    'then systemctl daemon-reload.'
  );
};

/** What `ops prepare` cannot take away: configuration that people wrote. */
export const byPeople = ({ datastores, lines, guests, automounts }: Omit<LyingOn, 'storages'>): string[] => [
  ...guests.map(({ vmid, what }) =>
    what.endsWith('.')
      ? `${what} Take it out of the guest's configuration.`
      : `Guest ${vmid} has something of it: ${what}. Take that out.`,
  ),
  ...datastores.map(
    (name) =>
      `Proxmox Backup Server keeps the datastore ${quoted(name)} on it. Take it out: proxmox-backup-manager datastore remove ${plain(name)}`,
  ),
  ...automounts.map(
    ({ point }) =>
      `systemd mounts it at ${path(point)} as soon as anybody looks there. Stop that: systemctl stop "$(systemd-escape --path --suffix=automount ${path(point)})"`,
  ),
  ...lines.map(lineSentence),
];

/** @param role of the drive: only a backup drive is taken out of use by a command of felhom's */
export const obstacleSentences = ({ storages, ...lying }: LyingOn, role: Drive['role']): string[] => [
  ...storages
    .filter(({ disabled }) => !disabled)
    .map(({ id }) =>
      role === 'backup'
        ? `The Proxmox storage ${quoted(id)} is enabled, so the next backup would go to the host's own disk in its stead.`
        : `The Proxmox storage ${quoted(id)} is enabled. Take it out of use: pvesm set ${plain(id)} --disable 1`,
    ),
  ...byPeople(lying),
];

const listed = (sentences: readonly string[]): string => [...new Set(sentences)].map((one) => `\n- ${one}`).join('');

export const notOpen = ({ id, state }: Op): FelhomError =>
  new FelhomError('op-not-prepared', `The operation ${id} is not open any more (${state}), so nothing was taken out of use.`);

export const notThere = (): FelhomError =>
  new FelhomError('drive-not-found', 'The drive of this operation is not plugged in, so there is nothing to take out of use.');

export const ambiguous = ({ name, twins }: Drive): FelhomError =>
  new FelhomError(
    'drive-ambiguous',
    `The drive cannot be told from others: ${[name, ...twins].join(' and ')} look the same to the server, so nothing was changed. Unplug all but the one that is meant.`,
  );

export const notTold = (missing: readonly { source: string; why: string }[]): FelhomError =>
  new FelhomError(
    'not-known',
    `What uses the drive cannot be told now, so nothing was changed: ${missing.map(({ source, why }) => `${source}: ${why}`).join('; ')}`,
  );

/** @param others who else is to be dealt with, each a sentence */
export const neverTaken = ({ name, role, reasons }: Drive, others: readonly string[]): FelhomError =>
  new FelhomError(
    'op-not-prepared',
    `${name} is a ${role} drive: felhom takes none of these out of use, so nothing was changed. What keeps it, to be ended by hand ` +
      `where that is possible at all (never for what the host runs from, a running guest, or an imported pool):` +
      listed([...reasons.filter((one) => one.role === role).map(({ sentence }) => sentence), ...others]),
  );

export const inTheWay = (sentences: readonly string[]): FelhomError =>
  new FelhomError('drive-in-use', `Nothing was changed. This has to be done first:${listed(sentences)}`);

/** How it stands after a failure: what could not be put back, and whose backups were ended. */
export const standing = ({ left, ended, id }: { left: readonly Prepared[]; ended: readonly number[]; id: string }): string =>
  [
    left.length === 0
      ? 'Everything is as it was before.'
      : `It was to be put back as it was, but that failed too: ${left.map(sentenceOf).join(' ')} Try: felhom-agent ops prepare ${id} --undo`,
    ...ended.map((vmid) => `But a backup of guest ${vmid} was ended for it. Make it again: felhom-agent backup run ${vmid}`),
  ].join('\n');

export const stillUsed = (who: readonly string[], now: string, cause?: unknown): FelhomError =>
  new FelhomError(
    'drive-in-use',
    `The drive is still used. ${now}\nWhoever uses it:${listed(who.length === 0 ? ['somebody who could not be found out'] : who)}`,
    cause,
  );

export const failedAndUndone = (error: FelhomError, now: string): FelhomError =>
  new FelhomError(error.code, `${error.message}\n${now}`, error.cause ?? error);

export const notPutBack = (left: readonly Prepared[], why: string, cause: unknown): FelhomError =>
  new FelhomError(
    'op-not-prepared',
    `Not everything could be put back: ${why} Still so:${listed(left.map((one) => `${sentenceOf(one)} By hand: ${byHand(one)}`))}`,
    cause,
  );

export const beingErased = ({ id }: Op): FelhomError =>
  new FelhomError(
    'op-not-prepared',
    `The drive is being erased now, so nothing is put back. How that ends, "felhom-agent ops show ${id}" tells.`,
  );

/** It was another operation that took the drive out of use. @param others on the same drive */
export const preparedFor = ({ id }: Op, others: readonly Op[]): FelhomError =>
  new FelhomError(
    'op-not-prepared',
    `Nothing was taken out of use for ${id}, so nothing was changed. It was for another operation on the same drive: ` +
      others.map((other) => `felhom-agent ops prepare ${other.id} --undo`).join('; '),
  );

/** Its file system is gone: what was on it does not come back, and its storage would fill the host's own disk. */
export const erased = (left: readonly Prepared[]): FelhomError => {
  const storages = left.flatMap((one) => (one.kind === 'storage-disabled' ? [one.storage] : []));
  return new FelhomError('op-not-prepared', `The drive was erased, so it does not come back. ${wayBack(storages)}`);
};

/** After the drive was erased. */
export const wayBack = (storages: readonly string[]): string =>
  storages.length === 0
    ? 'Nothing of it is out of use any more.'
    : `Give the storage another drive: mount one where it lies, then ${storages.map((id) => `pvesm set ${plain(id)} --disable 0`).join(', ')}. ` +
      `Or take it out of Proxmox: ${storages.map((id) => `pvesm remove ${plain(id)}`).join(', ')}. ` +
      'Until then name another storage as backup.storage in agent.yaml, where it is the one that backups go to.';

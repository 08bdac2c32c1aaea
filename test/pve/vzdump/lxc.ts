/** Containers (PVE/VZDump/LXC.pm): one function a case. */

import type { GuestCase } from './case.ts';
import { creating, modeLines } from './common.ts';
import { rsyncSize, tarSize } from './format.ts';
import { effect, info, online, type Script, type Step, told, when } from './steps.ts';

const prepare = (c: GuestCase): Step[] => [
  ...(c.name === undefined ? [] : [info(`CT Name: ${c.name}`)]),
  ...c.volumes.map((v) =>
    v.included
      ? info(`including mount point ${v.key} ('${v.at}') in backup`)
      : info(`excluding ${v.kind} mount point ${v.key} ('${v.at}') from backup (${v.reason})`),
  ),
];

/** A server's client speaks here; the words are those of proxmox-backup-client and no decision rests on them. */
const pbsCopy = (c: GuestCase): Step[] => [
  info(`Starting backup: ${c.target.name}`),
  info(`Client name: ${c.node}`),
  effect('copy'),
  told((m) => `Duration: ${(m.copyMs / 1000).toFixed(2)}s`),
];

const tarCopy: Step[] = [
  effect('copy'),
  told((m) => {
    const perSecond = (m.tarBytes * 1000) / Math.max(1, m.copyMs);
    return `Total bytes written: ${m.tarBytes} (${tarSize(m.tarBytes)}, ${tarSize(perSecond)}/s)`;
  }),
];

const archive = (c: GuestCase): Step[] => [
  creating(c),
  ...(c.target.kind === 'file' ? tarCopy : c.target.kind === 'pbs' ? pbsCopy(c) : [effect('copy')]),
];

/** `create storage snapshot` stands in the log before the snapshot is taken. */
const snapshotOne = (c: GuestCase): Step[] => [
  ...modeLines(c, 'snapshot'),
  info("create storage snapshot 'vzdump'"),
  effect('snapshot'),
  ...archive(c),
];

const snapshotSeveral = (c: GuestCase): Step[] => [
  ...modeLines(c, 'snapshot'),
  info('suspend vm to make snapshot'),
  effect('suspend'),
  info("create storage snapshot 'vzdump'"),
  effect('snapshot'),
  info('resume vm'),
  effect('resume'),
  told(online),
  ...archive(c),
];

const oldSnapshot = (c: GuestCase): Step[] =>
  c.oldSnapshot ? [info('found old vzdump snapshot (force removal)'), effect('remove old snapshot')] : [];

const snapshot = (c: GuestCase): Step[] => {
  const several = c.volumes.filter((v) => v.included).length > 1;
  return [...prepare(c), ...oldSnapshot(c), ...(several ? snapshotSeveral(c) : snapshotOne(c))];
};

/** The content is fixed at the second sync, while the guest is frozen. */
const suspend = (c: GuestCase): Step[] => {
  const way = `/proc/${c.pid}/root/ to ${c.tmpDir}`;
  return [
    ...modeLines(c, 'suspend'),
    ...prepare(c),
    info(`starting first sync ${way}`),
    effect('first sync'),
    told((m) => `first sync finished - transferred ${rsyncSize(m.firstSyncBytes)} bytes in ${m.firstSyncSeconds}s`),
    info('suspending guest'),
    effect('suspend'),
    info(`starting final sync ${way}`),
    effect('cut'),
    told((m) => `final sync finished - transferred ${rsyncSize(m.finalSyncBytes)} bytes in ${m.finalSyncSeconds}s`),
    info('resuming guest'),
    effect('resume'),
    told(online),
    ...archive(c),
  ];
};

const fallBack = (c: GuestCase): Step[] => [
  ...prepare(c),
  info('mode failure - some volumes do not support snapshots'),
  info("trying 'suspend' mode instead"),
  ...suspend(c),
];

const stop = (c: GuestCase): Step[] => [
  ...modeLines(c, 'stop'),
  ...prepare(c),
  info('stopping virtual guest'),
  effect('stop'),
  effect('cut'),
  ...archive(c),
];

const stopped = (c: GuestCase): Step[] => [...modeLines(c, 'stop'), ...prepare(c), effect('cut'), ...archive(c)];

const body = (c: GuestCase): Step[] => {
  if (!c.running) return stopped(c);
  if (c.mode === 'snapshot') return c.snapshots ? snapshot(c) : fallBack(c);
  return c.mode === 'suspend' ? suspend(c) : stop(c);
};

export const lxcScript = (c: GuestCase): Script => ({
  body: body(c),
  cleanup: [
    effect('unlock'),
    when('snapshotted', [info("cleanup temporary 'vzdump' snapshot"), effect('delete snapshot')]),
    when('suspended', [info('resume vm'), effect('resume'), told(online)]),
    when('stopped', [info('restarting vm'), effect('start'), told(online)]),
  ],
  failed: () => [],
});

/** VMs (PVE/VZDump/QemuServer.pm): one function a case. */

import { createHash } from 'node:crypto';
import { type GuestCase, includedBytes, type Mode } from './case.ts';
import { creating, modeLines } from './common.ts';
import { binarySize, duration } from './format.ts';
import { effect, info, type Script, type Step, told, when } from './steps.ts';

const prepare = (c: GuestCase): Step[] => [
  ...(c.name === undefined ? [] : [info(`VM Name: ${c.name}`)]),
  ...c.volumes.map((v) =>
    v.included
      ? info(`include disk '${v.key}' '${v.volid}'${v.size === '' ? '' : ` ${v.size}`}`)
      : info(`exclude disk '${v.key}' '${v.volid}' (${v.reason})`),
  ),
];

const assemble = (c: GuestCase): Step[] => [
  ...c.unused.map((volid) => info(`skip unused drive '${volid}' (not included into backup)`)),
  ...(c.hasSnapshots ? [info('snapshots found (not included into backup)')] : []),
];

/** Looks like a UUID and is the same for the same archive: scripts stay pure. */
const jobUuid = (c: GuestCase): string => {
  const hex = createHash('sha256').update(c.target.name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
};

/** A file system freeze before, a thaw after: only with an agent that answers. */
const frozen = (c: GuestCase, mode: Mode): 'no' | 'yes' | Step => {
  if (mode === 'stop' || !c.running || c.paused) return 'no';
  if (c.agent === 'off') return info('skipping guest filesystem freeze - disabled in VM options');
  // In suspend mode the VM stands still already, so its agent cannot answer.
  if (c.agent === 'silent' || mode === 'suspend') {
    return info('skipping guest filesystem freeze - agent configured but not running?');
  }
  return 'yes';
};

const inFreeze = (c: GuestCase, mode: Mode, inner: Step[]): Step[] => {
  const freeze = frozen(c, mode);
  if (freeze === 'no') return inner;
  if (freeze !== 'yes') return [freeze, ...inner];
  return [info("issuing guest-agent 'fs-freeze' command"), ...inner, info("issuing guest-agent 'fs-thaw' command")];
};

const resuming = (c: GuestCase, mode: Mode): Step[] => {
  if (!c.running || c.paused) return [];
  if (mode === 'snapshot') return [info('resuming VM again')];
  return [told((m) => `resuming VM again after ${m.offlineSeconds} seconds`), effect(mode === 'stop' ? 'start' : 'resume')];
};

const bitmaps = (c: GuestCase): Step[] =>
  c.volumes.filter((v) => v.included).map((v) => info(`${v.key}: dirty-bitmap status: created new`));

const summary = (c: GuestCase): Step => {
  const total = includedBytes(c);
  return told(({ copyMs }) => {
    const seconds = Math.floor(copyMs / 1000);
    if (seconds < 1) return `transferred ${binarySize(total)} in <1 seconds`;
    return `transferred ${binarySize(total)} in ${seconds} seconds (${binarySize(total / seconds, 1)}/s)`;
  });
};

/** `started backup task` proves the point in time; the thaw line stands there even when the command failed. */
const viaQmp = (c: GuestCase, mode: Mode): Step[] => [
  ...inFreeze(c, mode, [info('starting backup via QMP command'), effect('cut')]),
  info(`started backup task '${jobUuid(c)}'`),
  ...resuming(c, mode),
  ...(c.target.kind === 'pbs' ? bitmaps(c) : []),
  effect('copy'),
  summary(c),
];

const viaProvider = (c: GuestCase, mode: Mode): Step[] => [
  info(`starting external backup via ${c.target.kind === 'provider' ? c.target.provider : ''}`),
  info("using backup mechanism 'file-handle'"),
  ...inFreeze(c, mode, [info('setting up snapshot-access for backup'), effect('cut')]),
  ...resuming(c, mode),
  ...bitmaps(c),
  info('starting NBD server'),
  ...c.volumes.filter((v) => v.included).map((v) => info(`adding NBD export for drive-${v.key}`)),
  effect('copy'),
];

const diskless: Step[] = [info('backup contains no disks'), info('starting diskless backup'), effect('cut'), effect('copy')];

/** Only where kvm was started for the backup. */
const stopping: Step[] = [info('stopping kvm after backup task'), effect('stop paused')];

const archive = (c: GuestCase, mode: Mode): Step[] => {
  if (!c.volumes.some((v) => v.included)) return diskless;
  const starting = mode === 'stop' ? [info('starting kvm to execute backup task'), effect('start paused')] : [];
  return [
    ...starting,
    ...(c.target.kind === 'provider' ? viaProvider(c, mode) : viaQmp(c, mode)),
    when('started paused', stopping),
  ];
};

const snapshot = (c: GuestCase): Step[] => [
  ...prepare(c),
  ...modeLines(c, 'snapshot'),
  ...assemble(c),
  creating(c),
  ...archive(c, 'snapshot'),
];

const suspend = (c: GuestCase): Step[] => [
  ...modeLines(c, 'suspend'),
  ...prepare(c),
  info('suspending guest'),
  effect('suspend'),
  ...assemble(c),
  creating(c),
  ...archive(c, 'suspend'),
];

const stop = (c: GuestCase): Step[] => [
  ...modeLines(c, 'stop'),
  ...prepare(c),
  info('stopping virtual guest'),
  effect('stop'),
  ...assemble(c),
  creating(c),
  ...archive(c, 'stop'),
];

const stopped = (c: GuestCase): Step[] => [
  ...modeLines(c, 'stop'),
  ...prepare(c),
  ...assemble(c),
  creating(c),
  ...archive(c, 'stop'),
];

const body = (c: GuestCase): Step[] => {
  if (!c.running) return stopped(c);
  return { snapshot, suspend, stop }[c.mode](c);
};

const progress = (c: GuestCase) => {
  const total = includedBytes(c);
  return (percent: number, seconds: number): string => {
    const rate = `${binarySize((total * percent) / 100 / Math.max(1, seconds), 1)}/s`;
    const done = `${binarySize((total * percent) / 100, 1)} of ${binarySize(total, 1)}`;
    return `INFO: ${String(percent).padStart(3)}% (${done}) in ${duration(seconds)}, read: ${rate}, write: ${rate}`;
  };
};

export const qemuScript = (c: GuestCase): Script => ({
  body: body(c),
  cleanup: [
    when('started paused', stopping),
    effect('unlock'),
    // A suspended VM was resumed by the backup itself; vzdump says and does it once more.
    when('was suspended', [info('resume vm'), effect('resume')]),
    when('stopped', [info('restarting vm'), effect('start')]),
  ],
  failed: (text) => [
    { line: `ERROR: ${text}` },
    info('aborting backup job'),
    ...(c.running && !c.paused && c.mode === 'snapshot' ? [info('resuming VM again')] : []),
  ],
  ...(c.volumes.some((v) => v.included) && c.target.kind !== 'provider' ? { progress: progress(c) } : {}),
});

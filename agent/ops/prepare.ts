/**
 * Takes a backup drive out of use, so that its wipe can be granted, and puts it back: its Proxmox storages are disabled, backup jobs that
 * write to them too, our own backups are ended, and it is unmounted. Each step is written down before it is done, so that one that a crash
 * cut short can be undone all the same.
 */
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Mount } from '#shared/mountinfo';
import type { DriveCheck } from '../ports/drive-check.ts';
import type { HostMounts } from '../ports/host-mounts.ts';
import { forGuest } from '../ports/proxmox.ts';
import type { InTurn } from '../turn.ts';
import { type Unmounted, unmountedOf } from './host-mount.ts';
import { topAt } from './lying-on.ts';
import type { Op, Ops, Prepare, Prepared } from './op.ts';
import { createScenes, idsOf, type Scene, type ScenePorts } from './prepare-scene.ts';
import { failedAndUndone, notOpen, notPutBack, preparedFor, sentenceOf, standing, stillUsed } from './prepare-words.ts';
import { createPutBack, type PutBackPorts } from './put-back.ts';
import type { RunningBackups } from './running-backups.ts';
import { createSteps, type Steps } from './steps.ts';

export interface PreparePorts extends Omit<ScenePorts, 'proxmox'>, PutBackPorts {
  clock: Clock;
  /** The same for signatures: none is carried out while its drive is taken out of use, or put back. */
  inTurn: InTurn;
  current: ScenePorts['current'] & PutBackPorts['current'];
  check: ScenePorts['check'] & Pick<DriveCheck, 'flush'>;
  mounts: HostMounts;
  running: RunningBackups;
  /** Ends the reading of archives of these storages. */
  letGoArchives: (storages: readonly string[]) => Promise<void>;
  ops: Pick<Ops, 'list' | 'setPrepared'>;
  /** Durable before it answers. */
  audit: (what: string, details: object) => Promise<void>;
  /** What is out of use may have changed. */
  changed: () => void;
}

/** A file system that was just unmounted is given up by the kernel a moment later. */
const RELEASE = { tries: 5, everyMs: 200 };

/** Somebody uses it. */
class Busy extends Error {
  override readonly name = 'Busy';
  readonly who: readonly string[];

  constructor(who: readonly string[], cause?: unknown) {
    super(`in use: ${who.join(' ')}`, { cause });
    this.who = who;
  }
}

const whyOf = (error: unknown): string => {
  if (error instanceof FelhomError) return error.message;
  return error instanceof Error ? `${error.message.slice(0, 300)}.` : 'the reason is not known.';
};

const notFlushed = (cause: unknown): FelhomError =>
  new FelhomError(
    'drive-not-answering',
    'What was written to the drive is not all on it: it does not answer as it should.',
    cause,
  );

const explained = (error: unknown, steps: Steps, { id }: Op): FelhomError => {
  const now = standing({ left: steps.done(), ended: steps.ended(), id });
  if (error instanceof Busy) return stillUsed(error.who, now, error.cause);
  const known = forGuest(error);
  if (known instanceof FelhomError) return failedAndUndone(known, now);
  return failedAndUndone(new FelhomError('internal', 'The drive could not be taken out of use.', error), now);
};

export const createPrepare = (ports: PreparePorts): Prepare => {
  const { clock, journal, current, check, mounts, storageSwitch, running, ops } = ports;
  const { inTurn } = ports;
  const scenes = createScenes(ports);
  const { putBack, refuseErased } = createPutBack(ports);

  const unmount = async (scene: Scene, one: Unmounted, mount: Mount): Promise<void> => {
    // Not what somebody mounted there meanwhile.
    if (topAt(await mounts.seen(), mount.point)?.device !== mount.device) return;
    try {
      await mounts.unmount(one);
    } catch (error) {
      throw new Busy(await scenes.keepers(scene), error);
    }
    // Several may lie on one point, and each is taken off by itself.
    if ((await mounts.seen()).some(({ id }) => id === mount.id)) throw new Busy(await scenes.keepers(scene));
  };

  const switchOff = async (scene: Scene, { step }: Steps): Promise<void> => {
    for (const { id, disabled } of scene.lying.storages)
      if (!disabled) await step({ kind: 'storage-disabled', storage: id }, () => storageSwitch.storage(id, false));
    for (const { id } of await scenes.jobs(scene))
      await step({ kind: 'job-disabled', job: id }, () => storageSwitch.backupJob(id, false));
  };

  const endBackups = async (scene: Scene, steps: Steps): Promise<void> => {
    // One may have begun just before its storage was disabled.
    const others = await scenes.foreign(scene);
    if (others.length > 0) throw new Busy(others);
    await running.endOwn(idsOf(scene), steps.backupEnded);
    await ports.letGoArchives(idsOf(scene));
  };

  const unmountAll = async (scene: Scene, { step }: Steps): Promise<void> => {
    for (const mount of scene.lying.mounts.toReversed()) {
      const one = unmountedOf(scene.view, mount);
      if (one !== null) await step(one, () => unmount(scene, one, mount));
    }
  };

  const requireFree = async (scene: Scene): Promise<void> => {
    for (let tries = 1; !(await scenes.isFree(scene)); tries += 1) {
      if (tries === RELEASE.tries) throw new Busy(await scenes.keepers(scene));
      await sleep(clock, RELEASE.everyMs);
    }
  };

  const takeOut = async (scene: Scene, steps: Steps): Promise<void> => {
    await switchOff(scene, steps);
    await endBackups(scene, steps);
    await unmountAll(scene, steps);
    await requireFree(scene);
    await check.flush(`/dev/${scene.drive.name}`).catch((error: unknown) => {
      throw notFlushed(error);
    });
  };

  /** As it is on record by now. */
  const newest = (op: Op): Op => ops.list().find(({ id }) => id === op.id) ?? op;

  const prepare = async (asking: Op): Promise<readonly Prepared[]> => {
    const op = newest(asking);
    if (op.state !== 'open') throw notOpen(op);
    const scene = await scenes.look(op);
    const refusal = await scenes.refusal(scene);
    if (refusal !== null) throw refusal;
    const steps = createSteps(ops, op);
    try {
      await takeOut(scene, steps);
    } catch (error) {
      journal('warning', 'A drive could not be taken out of use.', { op: op.id, cause: String(error) });
      await putBack(op, steps);
      throw explained(error, steps, op);
    } finally {
      current.changed();
      ports.changed();
    }
    await ports.audit('op-prepared', { op: op.id, prepared: steps.done() });
    return steps.done();
  };

  const undo = async (asking: Op): Promise<readonly Prepared[]> => {
    const op = newest(asking);
    if (op.prepared.length === 0) {
      const others = ops.list().filter((other) => other.drive === op.drive && other.prepared.length > 0);
      if (others.length > 0) throw preparedFor(op, others);
      return [];
    }
    await refuseErased(op);
    const steps = createSteps(ops, op);
    const failure = await putBack(op, steps);
    ports.changed();
    await ports.audit('op-prepare-undone', { op: op.id, before: op.prepared, left: steps.done() });
    if (steps.done().length > 0) throw notPutBack(steps.done(), whyOf(failure), failure);
    return [];
  };

  return {
    prepare: (op) => inTurn(() => prepare(op)),
    undo: (op) => inTurn(() => undo(op)),
    sentences: (prepared) => prepared.map(sentenceOf),
    obstacles: scenes.obstacles,
  };
};

/** Storages and backup jobs that `ops prepare` disabled: said as a problem until they are put back, used otherwise, or gone. */
import type { Problems } from '../health/problems.ts';
import type { Journal } from '../ports/journal.ts';
import { forGuest, type Proxmox } from '../ports/proxmox.ts';
import { createFate, type FatePorts } from './fate.ts';
import type { Op, Ops, Prepared } from './op.ts';
import { sentenceOf, wayBack } from './prepare-words.ts';

export interface OutOfUsePorts extends FatePorts {
  ops: Pick<Ops, 'list' | 'setPrepared'>;
  proxmox: Pick<Proxmox, 'storageConfigs' | 'backupJobs'>;
  problems: Pick<Problems, 'raise' | 'clear'>;
  journal: Journal;
}

type Switched = Exclude<Prepared, { kind: 'unmounted' }>;

const isSwitched = (one: Prepared): one is Switched => one.kind !== 'unmounted';

interface Now {
  storages: ReadonlySet<string>;
  jobs: ReadonlySet<string>;
}

const NOTHING_OFF: Now = { storages: new Set(), jobs: new Set() };

const isStillOff = (one: Switched, off: Now): boolean =>
  one.kind === 'storage-disabled' ? off.storages.has(one.storage) : off.jobs.has(one.job);

const quotedAll = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

const storagesIn = (all: readonly Switched[]): string[] => [
  ...new Set(all.flatMap((one) => (one.kind === 'storage-disabled' ? [one.storage] : []))),
];

export const createOutOfUse = (ports: OutOfUsePorts) => {
  const { ops, proxmox, problems, journal } = ports;
  const fateOf = createFate(ports);

  const lookNow = async (): Promise<Now> => {
    const [storages, jobs] = await Promise.all([proxmox.storageConfigs(), proxmox.backupJobs()]);
    return {
      storages: new Set(storages.filter(({ disabled }) => disabled).map(({ storage }) => storage)),
      jobs: new Set(jobs.filter(({ enabled }) => !enabled).map(({ id }) => id)),
    };
  };

  /** What the operator put to use otherwise, or took out of Proxmox, is no more of this operation's. */
  const forget = async (op: Op, off: Now): Promise<Op> => {
    const prepared = op.prepared.filter((one) => isSwitched(one) && isStillOff(one, off));
    if (prepared.length === op.prepared.length) return op;
    await ops.setPrepared(op.id, prepared);
    return { ...op, prepared };
  };

  const tell = (standing: readonly { op: Op; off: readonly Switched[]; erased: boolean }[]): void => {
    const off = standing.flatMap((one) => one.off);
    const storages = storagesIn(off);
    const what = storages.length > 0 ? `The Proxmox storage ${quotedAll(storages)} is` : "A backup job of Proxmox's is";
    const erased = standing.filter((one) => one.erased);
    const undo = standing.filter((one) => !one.erased).map(({ op }) => `felhom-agent ops prepare ${op.id} --undo`);
    problems.raise({
      code: 'storage-out-of-use',
      vmid: null,
      sentence: `${what} out of use, so that its drive could be erased. No backup goes there.`,
      evidence: [...new Set(off.map(sentenceOf))].join(' '),
      nextStep: [
        ...(undo.length === 0 ? [] : [`If the drive is not to be erased: ${undo.join('; ')}.`]),
        ...(erased.length === 0 ? [] : [`The drive was erased. ${wayBack(storagesIn(erased.flatMap((one) => one.off)))}`]),
      ].join(' '),
    });
  };

  const check = async (): Promise<void> => {
    const prepared = ops.list().filter((op) => op.prepared.some(isSwitched));
    const off = prepared.length === 0 ? NOTHING_OFF : await lookNow();
    const standing = [];
    for (const op of prepared) {
      const fate = fateOf(op);
      // What is at stake may turn out to be as it was.
      const now = fate === 'erased' ? await forget(op, off) : op;
      standing.push({
        op: now,
        erased: fate !== 'as-it-was',
        off: now.prepared.filter(isSwitched).filter((one) => isStillOff(one, off)),
      });
    }
    const still = standing.filter((one) => one.off.length > 0);
    if (still.length > 0) tell(still);
    else problems.clear('storage-out-of-use', null);
  };

  return {
    /** Looks at what Proxmox says now, where anything was ever taken out of use; asks nothing otherwise. Never rejects. */
    check: (): Promise<void> =>
      check().catch((error: unknown) =>
        journal('warning', 'Whether storages are still out of use could not be looked at.', { cause: String(forGuest(error)) }),
      ),
  };
};

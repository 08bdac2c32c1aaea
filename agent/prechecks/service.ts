/** Says of a guest whether its backup may start now, and if not, the first reason. */
import type { Journal } from '#agent/ports/journal';
import type { GuestResource } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { pathOf } from '#agent/storage/directory';
import { START_CHECKS, warningsOf } from './checks.ts';
import type { Facts } from './facts.ts';
import { createGather, type GatherPorts } from './gather.ts';
import { createReader, whereKnown } from './known.ts';
import { ACCESS_CHECKS, guestOf, REACH_CHECKS } from './reach.ts';
import { createRemembered } from './remembered.ts';
import type { GuestSync } from './sync.ts';
import { targetMount } from './target.ts';
import { firstRefusal, type Refusal, type Verdict } from './verdict.ts';

export interface PrecheckPorts extends GatherPorts {
  store: Pick<Store, 'all' | 'write'>;
  journal: Journal;
  guestSync: Pick<GuestSync, 'settle'>;
}

const REMEMBER_MS = 500;

const refused = (refusal: Refusal, guest: GuestResource | null): Verdict => ({ ok: false, ...refusal, guest });

const NOT_CHECKED: Refusal = {
  code: 'guest-unreadable',
  sentence: 'Whether a backup of this guest may start could not be checked.',
  evidence: 'an unexpected error, which is in the journal',
  nextStep: 'Read what the agent says: journalctl -u felhom-agent',
};

const notSynced = (evidence: string): Refusal => ({
  code: 'guest-sync-slow',
  sentence: 'This guest writes more than its drives take in; its backup would freeze it for long and is put off.',
  evidence,
  nextStep: 'Nothing, if the guest is only busy for a while. Otherwise let the guest write less at the time of its backup.',
});

export const createPrechecks = (ports: PrecheckPorts) => {
  const { clock, journal, guestSync } = ports;
  const reader = createReader(clock, journal);
  const remembered = createRemembered(ports.store, clock);
  const gather = createGather(ports, reader, remembered);
  const running = new Map<number, Promise<Verdict>>();

  /** Last, for it takes long: everything else has been found good. Answers what to warn of. */
  const sync = async ({ guest: { vmid }, inside }: Facts): Promise<Refusal | string[]> => {
    const mounts = whereKnown(inside?.mounts ?? null);
    if (mounts === null) return [];
    const { quick, evidence, failed } = await guestSync.settle(vmid, mounts);
    return quick ? failed.map((point) => `${point} in the guest could not be synced beforehand.`) : notSynced(evidence);
  };

  const remember = async ({ target }: Facts): Promise<void> => {
    const { name, config } = target;
    const mount = targetMount(target);
    if (config === undefined || mount === undefined) return;
    await reader.read(`where storage ${name} is`, REMEMBER_MS, () => remembered.keep(name, pathOf(config), mount.point));
  };

  const decide = async (vmid: number): Promise<Verdict> => {
    const startedAt = clock.monotonic();
    const reach = await gather.reach(vmid);
    const unreached = firstRefusal(REACH_CHECKS, reach);
    const guest = guestOf(reach);
    if (unreached) return refused(unreached, guest);
    if (guest === null) return refused(NOT_CHECKED, null);

    const access = await gather.access(guest);
    const denied = firstRefusal(ACCESS_CHECKS, access);
    const config = whereKnown(access.config);
    if (denied || config === null) return refused(denied ?? NOT_CHECKED, guest);

    const facts = await gather.facts(reach, guest, config, startedAt);
    const unready = firstRefusal(START_CHECKS, facts);
    if (unready) return refused(unready, guest);
    await remember(facts);

    const synced = await sync(facts);
    if (!Array.isArray(synced)) return refused(synced, guest);
    const warnings = [...warningsOf(facts), ...synced];
    return { ok: true, guest, mode: facts.mode, configDigest: config.digest ?? '', warnings };
  };

  const guarded = (vmid: number): Promise<Verdict> =>
    decide(vmid).catch((error: unknown) => {
      journal('error', 'The checks before a backup broke.', { vmid, why: String(error) });
      return refused(NOT_CHECKED, null);
    });

  /** Who asks while a check of the same guest runs is given its answer. */
  const check = (vmid: number): Promise<Verdict> => {
    const current = running.get(vmid) ?? guarded(vmid).finally(() => running.delete(vmid));
    running.set(vmid, current);
    return current;
  };

  return { check };
};

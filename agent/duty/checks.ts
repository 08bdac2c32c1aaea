/** The prechecks' verdicts: kept for a minute, asked one at a time for each guest, and told as problems when they keep a backup waiting. */
import type { Problems } from '#agent/health/problems';
import type { Refusal, Verdict } from '#agent/prechecks/verdict';
import { PRECHECK_CODES, type PrecheckCode } from '#agent/prechecks/verdict';
import type { Clock } from '#shared/clock';
import { PROBLEMS } from '#shared/problems';

export type Passed = Extract<Verdict, { ok: true }>;

export interface CheckPorts {
  prechecks: { check(vmid: number): Promise<Verdict> };
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  clock: Pick<Clock, 'monotonic'>;
}

const KEPT_MS = 60_000;
/** So long a refusal may last before somebody is told. */
const TOLD_AFTER_MS = 15 * 60_000;
/** So long refused, a guest is so in a minute too: it may have been moved to another server for good. */
const LASTING_MS = 60 * 60_000;
/** A problem that stands is looked at again, also while nothing is due. */
const REVISIT_MS = 10 * 60_000;

/** What refuses one guest refuses all: one guest's answer stands for the others', and it is one problem. */
const HOST_WIDE: ReadonlySet<PrecheckCode> = new Set<PrecheckCode>([
  'pmxcfs-down',
  'proxmox-unreachable',
  'target-missing',
  'target-inactive',
  'target-not-mounted',
  'target-read-only',
  'node-lock-busy',
]);

const isToldAtOnce = (code: PrecheckCode): boolean => code.startsWith('target-') && PROBLEMS[code] === 'critical';

export type Checks = ReturnType<typeof createChecks>;

export const createChecks = ({ prechecks, problems, clock }: CheckPorts) => {
  const latest = new Map<number, { verdict: Verdict; at: number }>();
  const flights = new Map<number, Promise<Verdict>>();
  /** Since when a guest, or the host (null), is refused for the reason it is refused for now. */
  const refused = new Map<number | null, { code: PrecheckCode; since: number }>();
  /** When any guest was checked last. */
  let lastAt = Number.NEGATIVE_INFINITY;
  let ofHost: { refusal: Refusal; at: number } | null = null;

  const lastOf = (vmid: number): number => latest.get(vmid)?.at ?? Number.NEGATIVE_INFINITY;
  const isRecent = (at: number, ms = KEPT_MS): boolean => clock.monotonic() - at < ms;
  const fresh = (vmid: number): Verdict | null => {
    const known = latest.get(vmid);
    return known !== undefined && isRecent(known.at) ? known.verdict : null;
  };

  const ownRefusal = (vmid: number): Refusal | null => {
    const verdict = latest.get(vmid)?.verdict;
    return verdict === undefined || verdict.ok ? null : verdict;
  };

  const clearAll = (codes: readonly PrecheckCode[], vmid: number | null): void => {
    for (const code of codes) problems.clear(code, vmid);
  };
  const [hostCodes, guestCodes] = [true, false].map((wide) => PRECHECK_CODES.filter((code) => HOST_WIDE.has(code) === wide)) as [
    PrecheckCode[],
    PrecheckCode[],
  ];

  const passed = (vmid: number): void => {
    ofHost = null;
    for (const whose of [vmid, null]) refused.delete(whose);
    for (const [other, { verdict }] of latest) if (!verdict.ok && HOST_WIDE.has(verdict.code)) latest.delete(other);
    clearAll(guestCodes, vmid);
    clearAll(hostCodes, null);
  };

  const noteRefusal = (vmid: number, refusal: Refusal): void => {
    const { code, sentence, evidence, nextStep } = refusal;
    const whose = HOST_WIDE.has(code) ? null : vmid;
    ofHost = whose === null ? { refusal, at: clock.monotonic() } : null;
    const before = refused.get(whose);
    const since = before?.code === code ? before.since : clock.monotonic();
    refused.set(whose, { code, since });
    clearAll(
      (whose === null ? hostCodes : guestCodes).filter((other) => other !== code),
      whose,
    );
    if (isToldAtOnce(code) || clock.monotonic() - since >= TOLD_AFTER_MS)
      problems.raise({ code, vmid: whose, sentence, evidence, nextStep });
  };

  const ask = async (vmid: number): Promise<Verdict> => {
    const verdict = await prechecks.check(vmid);
    lastAt = clock.monotonic();
    latest.set(vmid, { verdict, at: lastAt });
    if (verdict.ok) passed(vmid);
    else noteRefusal(vmid, verdict);
    return verdict;
  };

  const isOpen = (vmid: number | null): boolean =>
    problems.list().some((one) => one.vmid === vmid && (PRECHECK_CODES as readonly string[]).includes(one.code));

  return {
    fresh,
    /** The verdict of the last minute, or a new one. */
    run: (vmid: number): Promise<Verdict> => {
      const known = fresh(vmid);
      if (known !== null) return Promise.resolve(known);
      const flight = flights.get(vmid) ?? ask(vmid).finally(() => flights.delete(vmid));
      flights.set(vmid, flight);
      return flight;
    },
    /** What refuses this guest, or the host as a whole, as far as is known. */
    refusal: (vmid: number): Refusal | null => ofHost?.refusal ?? ownRefusal(vmid),
    /** It is time to look again whether it still holds: every minute, for one guest's own that lasts every ten. */
    isRefusalOld: (vmid: number): boolean => {
      if (ofHost !== null) return !isRecent(ofHost.at);
      const since = refused.get(vmid)?.since ?? clock.monotonic();
      return !isRecent(lastOf(vmid), isRecent(since, LASTING_MS) ? KEPT_MS : REVISIT_MS);
    },
    /** When it was last checked, however that went. */
    agoMs: (vmid: number): number => clock.monotonic() - lastOf(vmid),
    /** A problem of this guest, or of the host, stands and was not looked at for a while. */
    wantsRevisit: (vmid: number): boolean =>
      (isOpen(vmid) && !isRecent(lastOf(vmid), REVISIT_MS)) || (isOpen(null) && !isRecent(lastAt, REVISIT_MS)),
    /** The guest has changed: what was found no longer holds. */
    expire: (vmid: number): void => {
      latest.delete(vmid);
    },
    /** Nothing waits for this guest any more. */
    forget: (vmid: number): void => {
      if (refused.delete(vmid) || isOpen(vmid)) clearAll(guestCodes, vmid);
      if (ownRefusal(vmid) !== null && !isRecent(lastOf(vmid))) latest.delete(vmid);
    },
  };
};

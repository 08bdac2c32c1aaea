/** What is known of the guest when a backup is planned: the host's word on what a backup includes, and this guest's own mounts and disks. */
import type { Mount } from '#shared/mountinfo';
import type { Place, PreparedApp } from '#shared/quiesce/protocol';
import { type Coverage, getCoverage } from '#shared/wire/archives';
import type { AgentClient } from '../ports/agent-client.ts';
import { sentenceOf } from '../ports/agent-error.ts';
import type { Disk, MountedDevice } from '../ports/block-devices.ts';
import { type GuestView, isContainer } from './coverage.ts';

export interface GuestPorts {
  agent: Pick<AgentClient, 'call'>;
  mounts: () => Promise<Mount[]>;
  disksBehind: (device: MountedDevice) => Promise<Disk[] | null>;
}

const COVERAGE_MS = 10_000;
/** A host that cannot read a guest's configuration says what it knew last; that is no evidence of what a backup takes now. */
const OLD_SECONDS = 60;
const TOO_OLD = 'the host cannot read the configuration of this guest just now';

/** Asked while the applications get ready. */
export interface Surroundings {
  coverage: Coverage['mounts'] | null;
  error: string;
  mounts: Mount[];
}

export const lookAround = async (
  { agent, mounts }: Pick<GuestPorts, 'agent' | 'mounts'>,
  signal?: AbortSignal,
  timeoutMs = COVERAGE_MS,
): Promise<Surroundings> => {
  const asked = agent.call(getCoverage, { timeoutMs, ...(signal ? { signal } : {}) }).then(
    ({ mounts: found, age_seconds }) =>
      age_seconds !== null && age_seconds <= OLD_SECONDS ? { coverage: found, error: '' } : { coverage: null, error: TOO_OLD },
    (error: unknown) => ({ coverage: null, error: sentenceOf(error) }),
  );
  return { ...(await asked), mounts: await mounts() };
};

/** The disks behind what the applications' data lies on, for a virtual machine. */
export const viewOf = async (
  { disksBehind }: Pick<GuestPorts, 'disksBehind'>,
  around: Surroundings,
  prepared: readonly PreparedApp[],
): Promise<GuestView> => {
  const disks = new Map<string, Disk[] | null>();
  const places: Place[] =
    around.coverage === null || isContainer(around.coverage) ? [] : prepared.flatMap(({ data }) => data ?? []);
  for (const { device, fstype } of places) {
    if (disks.has(device)) continue;
    const source = around.mounts.find((mount) => mount.device === device)?.source ?? '';
    disks.set(device, await disksBehind({ device, fstype, source }));
  }
  return { ...around, disks };
};

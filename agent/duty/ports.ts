/** What duty is given. */
import type { Job, JobSource } from '#agent/backups/jobs';
import type { JobRecord } from '#agent/backups/record';
import type { AgentConfig } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { Journal } from '#agent/ports/journal';
import type { LocalTime } from '#agent/ports/local-time';
import type { Proxmox } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { Clock } from '#shared/clock';
import type { CheckPorts, Passed } from './checks.ts';
import type { CurrentPorts } from './current.ts';

/** What duty asks of the jobs. */
export interface DutyBackups {
  begin(order: {
    vmid: number;
    requestId: string | null;
    source: JobSource;
    mode: Passed['mode'];
    configDigest: string;
    intends: string[];
  }): Promise<Job>;
  byRequest(vmid: number, requestId: string): Promise<Job | null>;
  running(): readonly Job[];
  record(vmid: number): Promise<JobRecord>;
  watchForeign(enrolled: readonly number[]): Promise<void>;
  onEnd(listener: (job: Job) => void): void;
}

export interface EnrolledGuest {
  vmid: number;
  /** Of its controller's last call; null before the first since the agent's start. */
  lastSeenAt: number | null;
}

export interface DutyPorts {
  store: Pick<Store, 'all' | 'write'>;
  proxmox: Pick<Proxmox, 'analyzeSchedule' | 'timezone' | 'guestTasks' | 'resources'>;
  clock: Clock;
  journal: Journal;
  settings: () => AgentConfig['backup'];
  hostId: string;
  /** Since the host's boot. */
  uptimeMs: () => Promise<number>;
  localTime: LocalTime;
  guests: () => readonly EnrolledGuest[];
  backups: DutyBackups;
  prechecks: CheckPorts['prechecks'];
  archives: CurrentPorts['archives'];
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
}

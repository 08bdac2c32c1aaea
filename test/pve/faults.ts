/** What can go wrong with the server itself; settable at any time by a test. */

import type { Outcome } from './http/message.ts';

export interface Received {
  method: string;
  /** Without the query, decoded, such as `/api2/json/nodes/pve1/vzdump`. */
  path: string;
}

/** `after: 'work'`: the operation is carried out and goes on, only its answer is lost, as with a real 596. */
export type Effect =
  | { answer: 595 | 596; after?: 'work' }
  | { reset: true; after?: 'work' }
  | { hang: true; after?: 'work' }
  | { delayMs: number };

export interface FaultRule {
  method?: string;
  /** A text that the path contains, or a pattern. */
  path?: string | RegExp;
  /** How many requests it meets; absent: all. */
  times?: number;
  effect: Effect;
}

export interface Faults {
  /** Adds a rule and answers the function that removes it. */
  add(rule: FaultRule): () => void;
  clear(): void;
  /** `stopped`: protected calls are 595. `silent`: they are 596 after `proxyTimeoutMs`. */
  pvedaemon: 'running' | 'stopped' | 'silent';
  /** Without it every call that needs authentication is a 500. */
  pmxcfs: 'running' | 'stopped';
  /** Hanging: `/cluster/resources` and `/nodes` know ids only. */
  pvestatd: 'running' | 'hanging';
  proxyTimeoutMs: number;
  /** The API's daemons restart: every connection is closed and new ones are refused for so long; tasks go on. */
  restart(refuseForMs: number): Promise<void>;
}

export interface FaultsInside extends Faults {
  take(request: Received): Effect | undefined;
}

const REASON = { 595: 'Connection refused', 596: 'Connection timed out' } as const;

export const proxyError = (status: 595 | 596): Outcome => ({ status, reason: REASON[status] });

const meets = (rule: FaultRule, request: Received): boolean => {
  if (rule.method !== undefined && rule.method !== request.method) return false;
  if (rule.path === undefined) return true;
  return typeof rule.path === 'string' ? request.path.includes(rule.path) : rule.path.test(request.path);
};

export const createFaults = (
  pvestatd: { get(): boolean; set(reported: boolean): void },
  restart: Faults['restart'],
): FaultsInside => {
  let rules: { rule: FaultRule; left: number }[] = [];
  return {
    pvedaemon: 'running',
    pmxcfs: 'running',
    proxyTimeoutMs: 30_000,
    get pvestatd() {
      return pvestatd.get() ? 'running' : 'hanging';
    },
    set pvestatd(value) {
      pvestatd.set(value === 'running');
    },
    restart,
    add: (rule) => {
      const entry = { rule, left: rule.times ?? Number.POSITIVE_INFINITY };
      rules.push(entry);
      return () => {
        rules = rules.filter((other) => other !== entry);
      };
    },
    clear: () => {
      rules = [];
    },
    take: (request) => {
      const entry = rules.find(({ rule, left }) => left > 0 && meets(rule, request));
      if (entry) entry.left -= 1;
      return entry?.rule.effect;
    },
  };
};

/** From the line of vzdump's log that marks the consistency point to the controller's release of the application. */
import { atMost, quantile, summarise } from '../figure.ts';
import { type BenchHost, type Moment, type RunningController, startController, startHost, until } from '../host.ts';
import type { Measure } from '../measure.ts';
import type { Scope } from '../scope.ts';

/** A container's snapshot of one volume is there when this is said. */
const CONSISTENT = 'INFO: creating vzdump archive';
/** Two hosts at once: one backup a second each leaves the machine idle most of the time. */
const HOSTS = 2;

interface Run {
  host: BenchHost;
  controller: RunningController;
  /** When the line had been written, in milliseconds since 1970. */
  writtenAt: number[];
}

const startRun = async (scope: Scope): Promise<Run> => {
  const host = await startHost(scope, {
    backup: { max_age: '1s', min_interval: '0s', window: '00:00-23:59' },
    lineDelayMs: 10,
  });
  const writtenAt: number[] = [];
  host.pve.vzdumpFaults.onLine = (line, atMs) => {
    if (line.startsWith(CONSISTENT)) writtenAt.push(atMs);
  };
  return { host, controller: await startController(scope, host, '1s'), writtenAt };
};

/** For each line, the release of its own backup: the one that follows the last `pre` before it. Negative: let go too early. */
const delays = (writtenAt: readonly number[], moments: readonly Moment[]): number[] =>
  writtenAt.flatMap((at) => {
    const pre = moments.findLastIndex(({ step, atMs }) => step === 'pre' && atMs <= at);
    const post = pre < 0 ? undefined : moments[pre + 1];
    return post?.step === 'post' ? [post.atMs - at] : [];
  });

const posts = ({ controller }: Run): number => controller.moments().filter(({ step }) => step === 'post').length;

export const release: Measure = {
  name: 'release',
  about: "from vzdump's consistency line to the application's release",
  run: async ({ scope, quick, say }) => {
    const wanted = quick ? 10 : 100;
    const each = Math.ceil(wanted / HOSTS);
    const runs = await Promise.all(Array.from({ length: HOSTS }, () => startRun(scope)));
    say(`${wanted} backups on ${HOSTS} hosts`);
    await Promise.all(
      runs.map((run) =>
        until(() => posts(run) >= each, {
          what: `${each} backups`,
          timeoutMs: 20_000 + each * 5_000,
          programs: [run.host.agent, run.controller],
        }),
      ),
    );
    const samples = runs.flatMap(({ writtenAt, controller }) => delays(writtenAt, controller.moments()).slice(0, each));
    const early = samples.filter((ms) => ms < -1).length;
    if (samples.length < wanted || early > 0) {
      throw new Error(`of ${wanted} backups ${samples.length} were released, ${early} of them before the line was written`);
    }
    const summary = summarise(samples);
    return [
      {
        name: 'line written to release, p50',
        value: quantile(samples, 0.5),
        unit: 'ms',
        note: `${samples.length} backups; includes starting a shell and date, which note the time`,
        samples: summary,
      },
      {
        name: 'line written to release, p95',
        value: quantile(samples, 0.95),
        unit: 'ms',
        budget: atMost(500),
        note: `longest ${summary.max.toFixed(0)} ms`,
        samples: summary,
      },
    ];
  },
};

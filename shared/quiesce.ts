/** `quiesce.yaml`: the applications of a guest and how each is held still for a backup and let go again. */
import { absolutePath, duration, listOf, oneOf, optional, type Read, type Reader, section, text } from './settings.ts';

/** How an application is held. Each is one entry; `command` runs what the file says. */
const ADAPTERS = ['command'] as const;

/** Names an application in logs, answers and on the page. */
const appName = text('a name of up to 63 letters, digits, dots, dashes and underscores', (value) =>
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value),
);

const argument = text('text', (value) => !value.includes('\0'));

/** A program and its arguments, given to no shell. */
const argv: Reader<[string, ...string[]]> = (value, path, problems) => {
  const [program, ...rest] = listOf(argument, { atLeast: 1 })(value, path, problems);
  return [program === undefined ? '' : absolutePath(program, `${path}[0]`, problems), ...rest];
};

const step = section({ argv, timeout: optional(duration('100ms', '10m'), 30_000) });

const app = section({ name: appName, adapter: oneOf(ADAPTERS), pre: step, post: step });

/** No two entries of one name: a name decides whose post is run. */
const uniqueNames =
  (reader: Reader<Read<typeof app>[]>): Reader<Read<typeof app>[]> =>
  (value, path, problems) => {
    const apps = reader(value, path, problems);
    for (const [index, { name }] of apps.entries()) {
      const first = apps.findIndex((one) => one.name === name);
      if (first < index && name !== '')
        problems.push({ path: `${path}[${index}].name`, sentence: `"${name}" is already the name of apps[${first}]` });
    }
    return apps;
  };

export const quiesceReader = section({
  apps: optional(uniqueNames(listOf(app)), []),
  /** The longest that applications are held, whatever happens. */
  hold_max: optional(duration('1s', '10m'), 60_000),
});

export type QuiesceApp = Read<typeof quiesceReader>['apps'][number];

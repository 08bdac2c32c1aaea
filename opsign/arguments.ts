/** The command line: `-op x`, `--op x`, `-op=x` and `--op=x` are the same. Nothing is guessed. Pure. */
import { shown } from './words.ts';

/** What a command takes, beside its options at most one line of text. */
interface Form {
  required: readonly string[];
  optional: readonly string[];
  /** A signature may follow. */
  line: boolean;
}

/** The first word; `sign` is what happens without one. */
const FORMS = {
  sign: { required: ['op', 'host', 'durable-id'], optional: ['key'], line: false },
  keygen: { required: ['name'], optional: ['key'], line: false },
  pubkey: { required: [], optional: ['key'], line: false },
  inspect: { required: [], optional: [], line: true },
  verify: { required: ['keys'], optional: [], line: true },
} as const satisfies Record<string, Form>;

export type CommandName = keyof typeof FORMS;

export interface Asked {
  command: CommandName | 'help' | 'version';
  options: ReadonlyMap<string, string>;
  /** Null: none was given. */
  line: string | null;
}

/** Nothing can be done with this command line; the message says why. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const OPTION = /^--?([A-Za-z][A-Za-z-]*)(?:=([\s\S]*))?$/;
const ASIDE: ReadonlyMap<string, 'help' | 'version'> = new Map([
  ['h', 'help'],
  ['help', 'help'],
  ['V', 'version'],
  ['version', 'version'],
]);

const commandIn = (first: string): { command: CommandName; named: boolean } => {
  if (first.startsWith('-')) return { command: 'sign', named: false };
  if (first !== 'sign' && Object.hasOwn(FORMS, first)) return { command: first as CommandName, named: true };
  throw new UsageError(`There is no command ${shown(first)}.`);
};

/** Throws `UsageError`. */
const setOption = (options: Map<string, string>, name: string, value: string | undefined): void => {
  if (options.has(name)) throw new UsageError(`-${name} is given twice.`);
  if (value === undefined || value === '') throw new UsageError(`-${name} needs a value.`);
  options.set(name, value);
};

/** The word after an option; one that begins with a dash is the next option. */
const following = (rest: string[]): string | undefined => (rest[0]?.startsWith('-') ? undefined : rest.shift());

const refuseMissing = (command: CommandName, options: ReadonlyMap<string, string>): void => {
  const missing = FORMS[command].required.filter((name) => !options.has(name));
  if (missing.length > 0) throw new UsageError(`Missing: ${missing.map((name) => `-${name}`).join(', ')}.`);
};

/** @param words without the program's own name. Throws `UsageError`. */
export const readArguments = ([first, ...others]: readonly string[]): Asked => {
  const options = new Map<string, string>();
  let line: string | null = null;
  if (first === undefined) return { command: 'help', options, line };
  const { command, named } = commandIn(first);
  const form: Form = FORMS[command];
  const rest = named ? others : [first, ...others];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name = '', attached] = OPTION.exec(word) ?? [];
    const aside = attached === undefined ? ASIDE.get(name) : undefined;
    if (aside !== undefined) return { command: aside, options, line };
    if ([...form.required, ...form.optional].includes(name)) setOption(options, name, attached ?? following(rest));
    else if (form.line && line === null && !word.startsWith('-')) line = word;
    else throw new UsageError(`${shown(word)} is not understood here.`);
  }
  refuseMissing(command, options);
  return { command, options, line };
};

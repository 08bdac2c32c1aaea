/** `controller.yaml` and the `quiesce.yaml` it names, read and checked: every key has a default, unknown keys and bad values stop the start. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { type QuiesceApp, quiesceReader } from '#shared/quiesce';
import { absolutePath, duration, optional, type Reader, readSettings, type SettingProblem, section } from '#shared/settings';

export interface ControllerConfig {
  /** `bootstrap.json`, which the host pushes. */
  bootstrap: string;
  stateDir: string;
  /** In memory, so that the instance id in it is new at each boot. */
  runtimeDir: string;
  pollMs: number;
  apps: QuiesceApp[];
  holdMaxMs: number;
}

const controllerReader = section({
  bootstrap: optional(absolutePath, '/etc/felhom/bootstrap.json'),
  quiesce: optional(absolutePath, '/etc/felhom/quiesce.yaml'),
  state_dir: optional(absolutePath, '/var/lib/felhom-controller'),
  runtime_dir: optional(absolutePath, '/run/felhom'),
  poll: optional(duration('100ms', '1h'), 60_000),
});

/** Settings that cannot be used; says all of it at once. */
class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(file: string, problems: SettingProblem[]) {
    const lines = problems.map(({ path, sentence }) => `  ${path === '' ? 'the file' : path}: ${sentence}`);
    super(`${file} cannot be used:\n${lines.join('\n')}`);
  }
}

const readYaml = async (file: string, ifMissing: 'empty' | 'error'): Promise<unknown> => {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && ifMissing === 'empty') return null;
    throw new ConfigError(file, [{ path: '', sentence: code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})` }]);
  }
  try {
    return parse(text, { logLevel: 'error' });
  } catch (error) {
    throw new ConfigError(file, [{ path: '', sentence: `is not YAML: ${(error as Error).message.trim().split('\n')[0]}` }]);
  }
};

const read = async <T>(file: string, reader: Reader<T>, ifMissing: 'empty' | 'error'): Promise<T> => {
  const settled = readSettings(reader, await readYaml(file, ifMissing));
  if (!settled.ok) throw new ConfigError(file, settled.problems);
  return settled.settings;
};

/** @throws ConfigError */
export const loadConfig = async (file: string): Promise<ControllerConfig> => {
  const { bootstrap, quiesce, state_dir, runtime_dir, poll } = await read(file, controllerReader, 'error');
  const { apps, hold_max } = await read(quiesce, quiesceReader, 'empty');
  return { bootstrap, stateDir: state_dir, runtimeDir: runtime_dir, pollMs: poll, apps, holdMaxMs: hold_max };
};

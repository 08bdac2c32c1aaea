/** Findings as a reading of a guest gives them, to be changed where a test needs it. */
import type { Findings, FoundContainer, FoundProcess } from '#controller/discover/findings';
import type { Mount } from '#shared/mountinfo';

export const mount = (point: string, fstype: string): Mount => ({
  id: point,
  parent: '',
  device: '8:1',
  root: '/',
  point,
  fstype,
  source: '',
  options: [],
});

export const NOTHING: Findings = {
  processes: [],
  sockets: [],
  docker: null,
  mounts: [mount('/', 'ext4')],
  hidden: 0,
};

let nextPid = 1000;

export const running = (name: string, changes: Partial<FoundProcess> = {}): FoundProcess => {
  nextPid += 1;
  return {
    pid: nextPid,
    ppid: 1,
    name,
    argv: [name],
    user: null,
    container: null,
    unit: null,
    cwd: '/',
    files: [],
    listens: [],
    ...changes,
  };
};

export const container = (name: string, changes: Partial<FoundContainer> = {}): FoundContainer => ({
  id: name.padEnd(64, '0'),
  name,
  image: `${name}:1`,
  autoRemove: false,
  paused: false,
  labels: {},
  mounts: [],
  ...changes,
});

export const volume = (source: string): FoundContainer['mounts'][number] => ({
  type: source.startsWith('/var/lib/docker') ? 'volume' : 'bind',
  source,
  destination: '/data',
  writable: true,
});

/** Of docker compose. @param needs services that it depends on */
export const service = (
  project: string,
  name: string,
  needs: string[] = [],
  changes: Partial<FoundContainer> = {},
): FoundContainer =>
  container(`${project}-${name}-1`, {
    labels: {
      'com.docker.compose.project': project,
      'com.docker.compose.service': name,
      'com.docker.compose.depends_on': needs.map((one) => `${one}:service_started:false`).join(','),
    },
    ...changes,
  });
